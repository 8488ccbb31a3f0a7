"""`hypermnesia figures` on real runs, as a user types it."""

import json
import shutil
from functools import cache

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from hypermnesia.cli import main
from hypermnesia.data.benchmarks import make_tasks
from hypermnesia.data.settings import BenchmarkSettings
from hypermnesia.errors import RunError
from hypermnesia.experiments.figures.of_run import figures_and_missing, figures_of
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.experiments.weights import write_weights
from hypermnesia.training.evaluate import evaluate
from hypermnesia.training.observer import Observer, ObserverGroup
from hypermnesia.training.samples import SampleLog

SHORT = ["--tasks", "3", "--set", "train.iterations=8", "--set", "train.batch_size=32"]
METHODS = ["hnet-r", "hnet-tir", "hnet-lik", "hnet-ent", "dgr", "finetune"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Finished runs of `METHODS`, by name of the method; hnet-tir has two seeds."""
    out = tmp_path_factory.mktemp("runs")
    command = ["run", "split-digits", "--out", str(out), *SHORT]
    assert main([*command, "--method", ",".join(METHODS)]) == 0
    assert main([*command, "--method", "hnet-tir", "--seeds", "1"]) == 0
    return {name: next(out.glob(f"*_{name}_*")) for name in METHODS}


@cache
def by_name(path, seed=None):
    return {drawn.name: drawn for drawn in figures_of(path, seed)}


def cells(drawn):
    return np.asarray(drawn.figure.axes[0].images[0].get_array())


KINDS = {
    "hnet-r": {"embeddings-autoencoders", "memory-samples"},
    "hnet-tir": {
        "task-confusion-domain-class",
        "embedding-transfer",
        "embeddings-classifiers",
        "embeddings-autoencoders",
        "memory-samples",
    },
    "hnet-lik": {
        "task-confusion-domain-class",
        "embedding-transfer",
        "embeddings-classifiers",
        "embeddings-autoencoders",
        "memory-samples",
    },
    "hnet-ent": {"task-confusion-domain-class", "embedding-transfer", "embeddings-classifiers"},
    "dgr": {"memory-samples"},
}


@pytest.mark.parametrize("method", list(KINDS))
def test_a_run_has_the_figures_of_its_method(runs, method):
    drawn = by_name(runs[method])
    assert drawn.keys() == KINDS[method]
    for each in drawn.values():
        assert each.title
        assert len(each.text) > 100
        assert "\n" not in each.text


def test_figures_are_written_beside_their_seed_and_told(runs, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(runs["hnet-tir"], run)
    assert main(["figures", str(run), "--seed", "1"]) == 0
    shown = capsys.readouterr().out
    files = list((run / "seed-1" / "figures").iterdir())
    assert {path.stem for path in files} == KINDS["hnet-tir"]
    for path in files:
        assert str(path) in shown
        image = imread(path)[:, :, :3]
        assert image.shape[1] == 740
        assert image.std() > 0.05
        assert image[:4].min() == 1
    for drawn in by_name(runs["hnet-tir"], 1).values():
        assert drawn.text in shown
    assert not (run / "seed-0" / "figures").exists()


def test_what_is_missing_is_told_in_a_line_each(runs, capsys, tmp_path):
    assert main(["figures", str(runs["finetune"]), "--out", str(tmp_path / "out")]) == 1
    lines = capsys.readouterr().out.splitlines()
    kinds = ["task confusion", "embedding transfer", "task embeddings", "samples of the generative"]
    assert len(lines) == len(kinds)
    for line, kind in zip(lines, kinds, strict=True):
        assert line.startswith(f"no {kind}")
        assert line.endswith("got finetune")
    assert not (tmp_path / "out").exists()


def test_confusion_counts_every_test_sample(runs):
    result = finished_seed(runs["hnet-ent"]).result
    tasks = make_tasks("split-digits", BenchmarkSettings(tasks=3), 0)
    counts = result.confusion["class"]
    assert counts.sum(axis=1).tolist() == [len(task.test) for task in tasks]
    found = cells(by_name(runs["hnet-ent"])["task-confusion-domain-class"])
    np.testing.assert_allclose(found, 100 * counts / counts.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(np.diagonal(found), result.inference["class"][-1])


def test_scenarios_with_other_counts_have_figures_of_their_own(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["hnet-ent"], run)
    path = run / "seed-0" / "result.json"
    fields = json.loads(path.read_text())
    fields["confusion"]["class"][0] = fields["confusion"]["class"][0][::-1]
    path.write_text(json.dumps(fields))
    assert {"task-confusion-domain", "task-confusion-class"} <= by_name(run).keys()


@pytest.mark.parametrize(("method", "seed"), [("hnet-tir", 1), ("hnet-lik", None)])
def test_the_diagonal_of_the_transfer_matrix_is_the_accuracy_at_the_end(runs, method, seed):
    matrix = cells(by_name(runs[method], seed)["embedding-transfer"])
    accuracy = finished_seed(runs[method], seed).result.accuracy["task"]
    np.testing.assert_array_equal(np.diagonal(matrix), accuracy[-1])
    assert len(np.unique(matrix)) > 3


@pytest.mark.parametrize("method", METHODS)
def test_a_trained_method_comes_back_as_it_was(runs, method):
    trained = finished_seed(runs[method])
    seen = [evaluate(trained.method, part, "task").accuracy for part in trained.parts()]
    np.testing.assert_array_equal(seen, trained.result.accuracy["task"][-1])


def test_a_long_sequence_shows_ten_of_its_tasks(tmp_path, capsys):
    few = ["--tasks", "12", "--set", "train.iterations=1", "--out", str(tmp_path)]
    assert main(["run", "perm-digits", "--method", "hnet-tir", *few]) == 0
    drawn = by_name(tmp_path / "perm-digits_hnet-tir_all")
    assert cells(drawn["task-confusion-domain-class"]).shape == (12, 12)
    assert cells(drawn["embedding-transfer"]).shape == (10, 10)
    assert "12 task embeddings" in drawn["embeddings-classifiers"].text
    assert "task 1, 2, 3, 5, 6, 7, 8, 10, 11, 12 (a row each)" in drawn["memory-samples"].text


def test_one_task_has_nothing_to_compare(tmp_path, capsys):
    few = ["--tasks", "1", "--set", "train.iterations=1", "--out", str(tmp_path)]
    assert main(["run", "split-digits", "--method", "hnet-lik", *few]) == 0
    capsys.readouterr()
    assert main(["figures", str(tmp_path / "split-digits_hnet-lik_all")]) == 0
    shown = capsys.readouterr().out
    assert "no task embeddings: embeddings are compared between tasks; got one task" in shown
    assert "memory-samples.png" in shown


FILES = ("weights.safetensors", "metrics.jsonl", "accuracy_matrix_task.csv")


@pytest.mark.parametrize("method", ["hnet-tir", "dgr"])
def test_numbers_are_the_same_without_samples(runs, method, tmp_path, monkeypatch):
    monkeypatch.setattr(SampleLog, "on_task_end", Observer.on_task_end)
    command = ["run", "split-digits", "--method", method, "--out", str(tmp_path), *SHORT]
    assert main(command) == 0
    other = tmp_path / runs[method].name / "seed-0"
    assert not (other / "samples").exists()
    for name in FILES:
        assert (other / name).read_bytes() == (runs[method] / "seed-0" / name).read_bytes()


MIDDLE, END = "in the middle of the second task", "before what it learned is saved"


@pytest.mark.parametrize(
    ("method", "moment"), [("hnet-r", END), ("hnet-lik", MIDDLE), ("dgr", END)]
)
def test_samples_of_a_resumed_run_are_those_of_an_uninterrupted_one(
    runs, method, moment, tmp_path, monkeypatch
):
    calls = []

    def break_off(self, *arguments):
        calls.append(1)
        if moment == MIDDLE and len(calls) == 12:
            raise KeyboardInterrupt
        whole(self, *arguments)
        if moment == END and len(calls) == 2:
            raise KeyboardInterrupt

    at = "on_update" if moment == MIDDLE else "on_task_end"
    whole = getattr(ObserverGroup, at)
    often = ["--set", "train.checkpoint_seconds=1e-9"]
    command = ["run", "split-digits", "--method", method, "--out", str(tmp_path), *SHORT]
    with monkeypatch.context() as patch:
        patch.setattr(ObserverGroup, at, break_off)
        assert main([*command, *often]) == 130
    run = tmp_path / runs[method].name
    assert main(["resume", str(run)]) == 0
    ours, theirs = (folder / "seed-0" / "samples" for folder in (run, runs[method]))
    names = sorted(path.name for path in theirs.iterdir())
    assert names == [f"after_task_{n}.safetensors" for n in (1, 2, 3)]
    assert sorted(path.name for path in ours.iterdir()) == names
    for name in names:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()


def test_a_seed_or_a_folder_that_is_not_there_is_one_line(runs, tmp_path, capsys):
    for arguments, expected in (
        ([str(tmp_path)], "without one"),
        ([str(runs["dgr"]), "--seed", "7"], "got 7; finished"),
        ([str(runs["hnet-tir"]), "--seed", "7"], ": 0, 1; go on with: hypermnesia resume"),
        ([str(runs["dgr"]), "--out", "/proc/nowhere"], "figures must be writable"),
    ):
        capsys.readouterr()
        assert main(["figures", *arguments]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert expected in line


@pytest.fixture
def damaged(runs, tmp_path):
    """A copy of a run, to damage."""
    run = tmp_path / "run"
    shutil.copytree(runs["hnet-tir"], run)
    return run


def missing(run):
    """Why figures are missing, by kind, and the names of those that are not."""
    drawn, without = figures_and_missing(finished_seed(run))
    return {each.kind: each.reason for each in without}, {each.name for each in drawn}


WEIGHTS, SAMPLES = "seed-0/weights.safetensors", "seed-0/samples"
EMBEDDED = ["embedding transfer", "task embeddings"]


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, None])
def test_without_weights_the_other_figures_are_drawn(damaged, content):
    (damaged / WEIGHTS).unlink() if content is None else (damaged / WEIGHTS).write_bytes(content)
    reasons, drawn = missing(damaged)
    assert list(reasons) == EMBEDDED
    for reason in reasons.values():
        assert ("be readable" if content is None else "hold weights; got a damaged") in reason
    assert drawn == {"task-confusion-domain-class", "memory-samples"}


def test_embeddings_that_are_no_numbers_are_refused(damaged):
    of = finished_seed(damaged)
    with torch.no_grad():
        of.method.memory.embeddings[1].fill_(torch.nan)
    write_weights(damaged / WEIGHTS, of.method)
    reasons, _ = missing(damaged)
    assert "must hold finite embeddings" in reasons["task embeddings"]


def test_weights_of_another_run_are_refused(runs, damaged):
    (damaged / WEIGHTS).write_bytes((runs["hnet-r"] / WEIGHTS).read_bytes())
    with pytest.raises(RunError, match="must hold the weights of this run"):
        _ = finished_seed(damaged).method


def test_a_damaged_result_costs_the_confusion(damaged):
    (damaged / "seed-0" / "result.json").write_text("{}")
    reasons, _ = missing(damaged)
    assert list(reasons) == ["task confusion"]
    assert "no field 'seed'" in reasons["task confusion"]


def test_images_that_are_gone_or_no_good(runs, damaged):
    kind, second = (
        "samples of the generative memory",
        damaged / SAMPLES / "after_task_2.safetensors",
    )
    other = runs["dgr"] / SAMPLES / second.name
    for content, reason in (
        (b"x", "must hold samples; got"),
        (other.read_bytes(), "must be of one training; got images of several kinds"),
    ):
        second.write_bytes(content)
        reasons, _ = missing(damaged)
        assert list(reasons) == [kind]
        assert reason in reasons[kind]
    second.unlink()
    (damaged / WEIGHTS).unlink()  # to draw less
    text = {each.name: each.text for each in figures_of(damaged)}["memory-samples"]
    assert "after learning task 1, 3 (a row each)" in text
    shutil.rmtree(damaged / SAMPLES)
    reasons, _ = missing(damaged)
    assert "generative memory of images; got hnet-tir" in reasons[kind]


def test_data_that_are_not_there_cost_the_transfer_matrix_only(real_data, tmp_path, capsys):
    few = ["--tasks", "2", "--set", "train.iterations=1", "--data-dir", str(real_data)]
    small = ["--set", "vae.encoder=[8]", "--set", "vae.decoder=[8]", "--out", str(tmp_path)]
    assert main(["run", "split-mnist", "--method", "hnet-tir", *few, *small]) == 0
    run = str(tmp_path / "split-mnist_hnet-tir_all")
    capsys.readouterr()
    assert main(["figures", run, "--data-dir", "/nowhere"]) == 0
    shown = capsys.readouterr().out
    assert "no embedding transfer: " in shown
    assert "/nowhere" in shown
    assert "memory-samples.png" in shown
    assert main(["figures", run]) == 0
    assert "embedding-transfer.png" in capsys.readouterr().out
