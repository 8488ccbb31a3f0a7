import io
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from rich.progress import Progress

from hypermnesia.training import Evaluation
from hypermnesia.training.observers import BarProgress, LineProgress
from hypermnesia.training.phases import Phase

TASK = SimpleNamespace(name="a")
PHASE = Phase(0, (TASK,), 10, (TASK,))
METRICS = {"loss": torch.tensor(0.5), "accuracy": torch.tensor(0.75)}


def watch_ten_updates(observer):
    observer.every = 0.0
    observer.on_start([TASK, TASK], 20)
    observer.on_resume(4, ["step-5: damaged"])
    for iteration in range(5, 11):
        observer.on_update(PHASE, iteration, METRICS)
    observer.on_task_end(PHASE, {"task": [Evaluation(87.5, None)]})


def test_lines(capsys):
    watch_ten_updates(LineProgress("hnet seed 0"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "hnet seed 0: went on without step-5: damaged"
    assert lines[1] == "hnet seed 0: resumed at iteration 4 of 20"
    assert "5/20 task 1/2 (50%) loss 0.5000 acc 75.0%" in lines[2]
    assert lines[-1] == "hnet seed 0: task 1 learned, on all seen: task 87.50%"
    assert len(lines) == 2 + 6 + 1


def test_a_run_that_goes_back_keeps_its_bar():
    bar = Progress(console=Console(file=io.StringIO()))
    observer = BarProgress(bar, "hnet seed 0")
    for _ in range(2):
        observer.on_start([TASK, TASK], 20)
    assert len(bar.tasks) == 1


def test_metrics_are_read_seldom(capsys):
    class Unreadable:
        def __float__(self):
            pytest.fail("read off the device at every iteration")

    observer = LineProgress("x")
    observer.on_start([TASK], 10)
    for iteration in range(1, 11):
        observer.on_update(PHASE, iteration, {"loss": Unreadable(), "accuracy": Unreadable()})
    assert capsys.readouterr().err == ""


def test_bar():
    text = io.StringIO()
    with Progress(console=Console(file=text, width=100, force_terminal=True)) as bar:
        watch_ten_updates(BarProgress(bar, "hnet seed 0"))
        (task,) = bar.tasks
        assert (task.completed, task.total) == (10, 20)
        assert task.fields["status"] == "task 1 learned, on all seen: task 87.50%"
    assert "resumed at iteration 4" in text.getvalue()
