"""A training that leaves the numbers, as a user meets it."""

import json

from hypermnesia.cli import main

STEEP = ["--set", "optimizer.name=sgd", "--set", "optimizer.lr=1e8"]
SHORT = ["--set", "train.iterations=60", "--tasks", "2", "--threads", "1"]


def run(tmp_path, *arguments):
    return main(["run", "split-digits", "--out", str(tmp_path), *SHORT, *arguments])


def test_it_ends_in_one_line_that_says_where_and_why(tmp_path, capsys):
    assert run(tmp_path, "--method", "finetune", *STEEP) == 2
    *before, last = capsys.readouterr().err.splitlines()
    assert any(line.startswith("finetune seed 0: went on without iteration") for line in before)
    assert last.startswith("error: losses and gradients must stay finite; got iteration ")
    assert " of digits 0-1: loss " in last
    assert "smaller optimizer.lr, or with optimizer.clip=1" in last
    checkpoints = (tmp_path / "split-digits_finetune_task").rglob("state.json")
    good = max(json.loads(path.read_text())["step"] for path in checkpoints)
    assert f"got iteration {good + 1} of" in last


def test_clipping_keeps_it_in(tmp_path):
    steep = [*STEEP[:2], "--set", "optimizer.lr=100"]
    assert run(tmp_path, "--method", "finetune", *steep, "--set", "optimizer.clip=0.001") == 0
