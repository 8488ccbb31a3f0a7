"""What a user can get wrong: one line on stderr, exit code 2, no traceback, nothing left behind."""

import pytest

from hypermnesia.cli import main

BAD = {
    "split-digit": "did you mean 'split-digits'",
    "split-digits --method hnt": "did you mean 'hnet'",
    "split-digits --method hnet,hnet": "named once",
    "split-digits --method hnet,finetune --name x": "--name names one",
    "split-digits --scenario clas": "did you mean 'class'",
    "split-digits --scenario class": "the method hnet works in the scenarios task",
    "split-digits --recipe papre": "recipe of split-digits",
    "split-digits --seeds 2-0": "0-2 or 0,3,5-7",
    "split-digits --tasks 0": "data.tasks",
    "split-digits --tasks 6": "from 1 to 5",
    "split-digits --tasks x": "--tasks",
    "split-digits --class-order -1": "data.class_order",
    "split-digits --device gpu": "machine.device",
    "split-digits --precision fp16": "compute.precision",
    "split-digits --method finetune --compile": "compute.compile does nothing for finetune",
    "split-digits --threads 0": "machine.threads",
    "split-digits --name a/b": "--name must be",
    "split-digits --name ..": "--name must be",
    "split-digits --out /proc/nowhere": "/proc/nowhere",
    "split-digits --nope": "--nope",
    "split-mnist --data-dir /nowhere": "/nowhere",
    "split-mnist --data-dir ~nosuch/x": "~nosuch/x",
    "split-digits --name x\udcff": "--name must be",
    "split-digits --set foo": "section.field=value",
    "split-digits --set chunk=5": "did you mean 'hypernet.chunk'",
    "split-digits --set hypernet.chunks=5": "did you mean 'hypernet.chunk'",
    "split-digits --set recipe.name=x": "setting must be one that exists",
    "split-digits --set hypernet.chunk=!!python/none": "must be YAML",
    "split-digits --set hypernet.chunk=0": "hypernet.chunk must be greater",
    "split-digits --set hypernet.chunk=1.5": "hypernet.chunk",
    "split-digits --set hypernet.chunk=true": "hypernet.chunk",
    "split-digits --set hypernet.chunk=null": "needs the size of a chunk",
    "split-digits --set hypernet.hidden=10": "hypernet.hidden",
    "split-digits --set hypernet.hidden=10,10": "write hypernet.hidden=[10,10]",
    "split-digits --set target.generated=*": "must be YAML",
    "split-digits --set target.generated=a,b": "write target.generated=[a,b]",
    "split-digits --set hypernet.plan=full": "set hypernet.chunk=null",
    "split-digits --set hypernet.chunk_embedding=0": "hypernet.chunk_embedding=0",
    "split-digits --set hypernet.activation=rleu": "did you mean 'relu'",
    "split-digits --set regularizer.kind=sampled": "set regularizer.subset",
    "split-digits --set regularizer.lookahead=sgdd": "did you mean 'sgd'",
    "split-digits --method finetune --set regularizer.beta=5": "does nothing for finetune",
    "split-digits --method ewc,finetune --set penalty.xi=1": "penalty.xi does nothing for ewc",
    "split-digits --method finetune,joint --set target.generated=[x]": "does nothing for finetune",
    "split-digits --set hypernet.plan=evn": "hypernet.plan",
    "split-digits --set regularizer.beta=-1": "regularizer.beta",
    "split-digits --set regularizer.beta=.nan": "finite",
    "split-digits --set regularizer.beta=.inf": "regularizer.beta",
    "split-digits --set regularizer.beta=abc": "'abc'",
    "split-digits --set regularizer.kind=direkt": "did you mean 'direct'",
    "split-digits --set regularizer.subset=2": "kind=sampled",
    "split-digits --set optimizer.name=adm": "did you mean 'adam'",
    "split-digits --set optimizer.lr=0": "optimizer.lr",
    "split-digits --set optimizer.momentum=0.9": "option of adam",
    "split-digits --set optimizer.schedule=[1]": "optimizer.schedule",
    "split-digits --set inference.screen=bf16": "inference.screen does nothing for hnet",
    "split-digits --method hnet-ent --set inference.screen=int4": "inference.screen",
    "split-digits --method hnet-ent --set inference.screen=bf16 "
    "--set inference.criterion=entropy-gradient": "set inference.screen=null",
    "split-digits --set target.net=ml": "did you mean 'mlp'",
    "split-digits --set target.head='1'": "target.head",
    "split-digits --method finetune --set target.head='1'": "learn from a batch of 2",
    "split-digits --set optimizer.clip=0": "optimizer.clip must be greater",
    f"split-digits --name {'x' * 300}": "--name must be",
    "split-digits --set target.net=zenke": "samples of shape (1, 8, 8)",
    "split-digits --set target.generated=[foo]": "foo",
    "split-digits --set target.hidden=[100000,10000000]": "memory",
    "split-digits --set data.padding=2": "no use for 'padding'",
    "split-digits --set data.validation=1000000": "leave some to learn from",
    "split-digits --set data.evaluate_on=validation": "data.validation",
    "split-digits --set train.augment=flip": "augmentation",
    "split-digits --set train.epochs=3": "given once",
    "split-digits --set train.iterations=null": "given once",
    "split-digits --set train.batch_size=0": "train.batch_size",
}


def expect_one_line(capsys, arguments, expected):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("error: ")
    assert expected in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(("arguments", "expected"), list(BAD.items()))
def test_run_says_what_is_wrong(arguments, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expect_one_line(capsys, ["run", *arguments.split()], expected)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["resume", "nowhere"], "nowhere without one"),
        (["resume", "x" * 300], "File name too long"),
        (["resume", "x", "--threads", "0.5"], "--threads"),
        (["list", "metods"], "did you mean 'methods'"),
        (["rum"], "rum"),
        (["run"], "BENCHMARK"),
    ],
)
def test_other_commands_say_what_is_wrong(arguments, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert expected.lower() in line.lower()
