"""A run keeps images of its generative memory: nothing else changes, whatever interrupts it."""

import pytest

from figure_runs import SHORT
from hypermnesia.cli import main
from hypermnesia.training.logs import SampleLog
from hypermnesia.training.observers import Observer, ObserverGroup

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
        if moment == END and len(calls) >= 2:  # of groups within groups
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
