from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_run import CPU, Linear, Run, make_tasks
from torch import Tensor

from hypermnesia.data.types import Task, place
from hypermnesia.errors import ConfigError
from hypermnesia.methods.base import Method, TaskSpec
from hypermnesia.seeding import Generators
from hypermnesia.training import Observer, Phase, Rows, TrainSettings, train
from hypermnesia.training.evaluation import evaluate
from hypermnesia.training.phases import make_phases


class Heard(Observer):
    def __init__(self) -> None:
        self.total = 0
        self.updates: list[tuple[int, int]] = []
        self.rows: list[tuple[int, str, int]] = []

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        self.total = total_iterations

    def on_update(self, phase: Phase, iteration: int, metrics: object) -> None:
        self.updates.append((phase.index, iteration))

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        self.rows += [(phase.row, name, len(row)) for name, row in rows.items()]


def test_the_stand_in_is_a_method() -> None:
    assert isinstance(Linear(Generators(0)), Method)


def test_tasks_are_learned_in_turn_and_the_lower_triangle_is_filled(tmp_path: Path) -> None:
    run = Run(tmp_path, iterations=30, tasks=make_tasks(3))
    result = run.go()
    assert run.method.specs == [TaskSpec(2, 30)] * 3
    assert run.method.ended == 3
    accuracy = result.accuracy["task"]
    filled = ~np.isnan(accuracy)
    np.testing.assert_array_equal(filled, np.tril(np.ones((3, 3), dtype=bool)))
    assert np.nanmin(accuracy) > 90
    assert result.accuracy.keys() == {"task"}
    assert result.inference == result.confusion == {}
    assert len(result.seconds_per_iteration) == 3
    assert 0 < sum(result.seconds_per_iteration) * 30 < result.seconds
    assert result.peak_memory_mb > 1
    assert result.compression == 0.5


def test_what_a_task_gains_is_measured_before_its_first_update(tmp_path: Path) -> None:
    """The same as of a method that learned the tasks before and has just begun the task."""
    tasks = make_tasks(3)
    gains = Run(tmp_path / "all", iterations=30, tasks=tasks).go().gains
    assert gains.keys() == {"task"}
    assert np.isnan(gains["task"][0])
    for task in tasks[1:]:
        run = Run(tmp_path / task.name, iterations=30, tasks=tasks[: task.index])
        run.go()
        run.method.begin_task(TaskSpec(2, 30))
        found = evaluate(run.method, task.test, "task").accuracy
        assert gains["task"][task.index] == found - 50


def test_a_method_that_does_not_say_that_it_can_is_not_asked(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delattr(Linear, "answers_untrained")
    assert Run(tmp_path, tasks=make_tasks(2)).go().gains == {}


def test_a_joint_run_is_one_phase_and_fills_the_last_row(tmp_path: Path) -> None:
    run = Run(tmp_path, iterations=20, tasks=make_tasks(3), scenario="class", trains_on="all")
    result = run.go()
    assert run.method.specs == [TaskSpec(2, 60)] * 3
    assert run.method.ended == 1
    accuracy = result.accuracy["class"]
    assert np.isnan(accuracy[:2]).all()
    assert not np.isnan(accuracy[2]).any()
    confusion = result.confusion["class"]
    assert confusion.sum(axis=1).tolist() == [14, 14, 14]
    np.testing.assert_allclose(result.inference["class"][2], np.diag(confusion) / 14 * 100)
    assert len(result.seconds_per_iteration) == 1


def test_one_training_is_measured_in_every_scenario_that_it_answers_in(tmp_path: Path) -> None:
    run = Run(tmp_path, iterations=30, tasks=make_tasks(3))
    run.method.answers = ("task", "domain", "class")
    result = run.go()
    assert len(result.seconds_per_iteration) == 3
    assert result.accuracy.keys() == {"task", "domain", "class"}
    alone = Run(tmp_path / "alone", iterations=30, tasks=make_tasks(3)).go()
    np.testing.assert_array_equal(result.accuracy["task"], alone.accuracy["task"])
    assert result.inference.keys() == result.confusion.keys() == {"domain", "class"}
    for name in ("domain", "class"):
        filled = ~np.isnan(result.accuracy[name])
        np.testing.assert_array_equal(filled, np.tril(np.ones((3, 3), dtype=bool)))
    inferred = np.diag(result.confusion["class"]) / 14 * 100
    np.testing.assert_allclose(inferred, result.inference["class"][2])
    # An answer over all classes is right only if its task is.
    assert (result.accuracy["class"][2] <= inferred).all()


def test_observers_hear_everything_in_order() -> None:
    generators, heard = Generators(0), Heard()
    settings = TrainSettings(batch_size=4, iterations=2)
    method, tasks = Linear(generators), make_tasks()
    train(method, tasks, settings=settings, generators=generators, observer=heard, device=CPU)
    assert heard.total == 4
    assert heard.updates == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert heard.rows == [(0, "task", 1), (1, "task", 2)]


@pytest.mark.parametrize("trains_on", ["task", "all"])
def test_a_task_ends_with_its_samples_once_as_they_are(tmp_path: Path, trains_on: str) -> None:
    tasks = [
        replace(task, train=replace(task.train, x=task.train.x[:, None, None]))
        for task in make_tasks()
    ]
    run = Run(tmp_path, tasks=tasks, iterations=2, augment="shift", trains_on=trains_on)
    run.method = Flat(run.generators, trains_on=trains_on)
    run.go()
    assert len(run.method.ended_with) == (2 if trains_on == "task" else 1)
    seen = torch.cat(run.method.ended_with)
    assert torch.equal(seen, torch.cat([task.train.x for task in tasks]))


class Flat(Linear):
    """Takes images."""

    def _logits(self, x: Tensor) -> Tensor:
        return super()._logits(x.flatten(1))


def test_log_lines(tmp_path: Path) -> None:
    Run(tmp_path, iterations=2).go()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["update", "update", "evaluation"] * 2
    assert lines[3].keys() == {"kind", "task", "iteration", "loss", "accuracy"}
    assert (lines[3]["task"], lines[3]["iteration"]) == (1, 1)
    assert lines[5]["scenario"] == "task"
    assert len(lines[5]["accuracy"]) == 2
    assert lines[5]["inference"] is None


def test_evaluates_on_validation_when_told(tmp_path: Path) -> None:
    tasks = [
        replace(task, validation=replace(task.test, y=1 - task.test.y)) for task in make_tasks()
    ]
    on_test = Run(tmp_path / "a", tasks=tasks).go().accuracy["task"]
    on_validation = Run(tmp_path / "b", tasks=tasks, evaluate_on="validation").go().accuracy["task"]
    np.testing.assert_allclose(on_validation, 100 - on_test)


@pytest.mark.parametrize(("samples", "batch", "updates"), [(10, 4, 6), (8, 4, 6), (3, 4, 3)])
def test_epochs_become_full_batches(samples: int, batch: int, updates: int) -> None:
    settings = TrainSettings(batch_size=batch, epochs=3)
    assert make_phases(make_tasks(1, samples), settings, "task")[0].iterations == updates


def test_a_phase_knows_the_updates_before_it() -> None:
    settings = TrainSettings(batch_size=4, iterations=3)
    tasks = make_tasks(3)
    assert [phase.before for phase in make_phases(tasks, settings, "task")] == [0, 3, 6]
    assert [phase.before for phase in make_phases(tasks, settings, "all")] == [0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"iterations": 1, "epochs": 1},
        {},
        {"iterations": 0},
        {"epochs": -1},
        {"iterations": 1, "batch_size": 0},
        {"iterations": 1, "checkpoint_seconds": -1.0},
        {"iterations": 1, "checkpoint_seconds": float("nan")},
        {"iterations": 1, "evaluate_on": "train"},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        TrainSettings(**{"batch_size": 4} | wrong)  # type: ignore[arg-type]


def test_impossible_plans_are_refused() -> None:
    settings = TrainSettings(batch_size=4, iterations=1)
    on_validation = replace(settings, evaluate_on="validation")
    task, other = make_tasks()
    empty = replace(task.test, x=task.test.x[:0], y=task.test.y[:0])
    for tasks, chosen in [
        ([], settings),
        ([other, task], settings),
        ([replace(task, validation=None)], on_validation),
        ([replace(task, train=empty)], settings),
        ([replace(task, test=empty)], settings),
    ]:
        with pytest.raises(ConfigError):
            make_phases(tasks, chosen, "task")


def test_an_unknown_augmentation_is_refused_before_training(tmp_path: Path) -> None:
    run = Run(tmp_path, augment="flip-corp")
    with pytest.raises(ConfigError, match="did you mean 'flip-crop'"):
        run.go()
    assert not run.method.specs


def test_placing_keeps_shared_storage_shared() -> None:
    meta = torch.device("meta")
    task, other = make_tasks()
    x = torch.zeros(14, 3)
    rows = torch.arange(14)
    tasks = [
        replace(task, train=replace(task.train, x=x, rows=rows), validation=None),
        replace(other, train=replace(other.train, x=x, rows=rows)),
    ]
    placed = place(tasks, meta)
    assert placed[0].train.x is placed[1].train.x
    assert placed[0].train.rows is placed[1].train.rows
    assert placed[0].train.rows is not None
    assert {placed[0].train.rows.device, placed[0].train.y.device} == {meta}
    assert placed[0].validation is None
