"""A loss or gradient that is no finite number ends a run where it was still good."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from tiny_run import CPU, CrashError, Linear, Run, make_tasks
from torch import Tensor

from hypermnesia.data.types import Batch
from hypermnesia.errors import RunError
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.training import (
    MemoryStore,
    NotFiniteError,
    Observer,
    Phase,
    StopTraining,
    TrainSettings,
    train,
)
from hypermnesia.training.observers import Health

NEVER = 1e9
INF, NAN = float("inf"), float("nan")


class Diverging(Linear):
    """From its `at`-th update on it reports `bad`, and its weights are no numbers any more."""

    updates = 0

    def __init__(self, generators: Generators, at: int, **bad: float) -> None:
        super().__init__(generators)
        self.at, self.bad = at, bad or {"loss": NAN}

    def update(self, batch: Batch) -> dict[str, Tensor]:
        metrics = super().update(batch)
        self.updates += 1
        if self.updates < self.at:
            return metrics
        self.weight.data.fill_(torch.nan)
        return metrics | {name: torch.tensor(value) for name, value in self.bad.items()}

    def state_dict(self) -> State:
        return super().state_dict() | {"updates": self.updates}

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.updates = state["updates"]


def diverging(folder: Path, at: int, every: float = NEVER, **bad: float) -> Run:
    run = Run(folder, checkpoint_seconds=every)
    run.method = Diverging(run.generators, at, **bad)
    return run


def stopped_at(folder: Path, updates: int) -> Linear:
    """The method after so many updates of a run of which nothing is wrong."""
    run = Run(folder, checkpoint_seconds=0.0)
    if updates:
        with pytest.raises(CrashError):
            run.go(crash_at=updates)
    return run.method


@pytest.mark.parametrize("at", range(1, 11))
@pytest.mark.parametrize("every", [0.0, NEVER])
def test_it_ends_with_the_last_good_update(tmp_path: Path, at: int, every: float) -> None:
    run = diverging(tmp_path / "bad", at, every)
    task, iteration = divmod(at - 1, 5)
    with pytest.raises(RunError, match=rf"got iteration {iteration + 1} of t{task}: loss nan"):
        run.go()
    good = stopped_at(tmp_path / "good", at - 1)
    found = run.store.load_newest()
    assert found is not None
    assert found.step == found.state["method"]["updates"] == at - 1
    assert torch.equal(run.method.weight, found.state["method"]["weight"])
    # A task that never got an update has not begun.
    rows = len(run.method.weight)
    assert rows == (2 * task if iteration == 0 else 2 * task + 2)
    assert torch.equal(run.method.weight[:rows], good.weight[:rows])
    logged = [json.loads(line) for line in run.log().splitlines()]
    assert sum(line["kind"] == "update" for line in logged) == at - 1


def test_resuming_ends_in_the_same_error(tmp_path: Path) -> None:
    messages = []
    for _ in range(2):
        run = diverging(tmp_path, 8)
        with pytest.raises(RunError) as caught:
            run.go()
        # What the update before reported is not in a checkpoint.
        messages.append(re.sub(r" \([\d.e-]+ before\)", "", str(caught.value)))
    assert "iteration 3 of t1" in messages[0]
    assert messages[0] == messages[1]


def test_without_checkpoints_the_method_is_brought_back_from_memory(tmp_path: Path) -> None:
    generators = Generators(7)
    method = Diverging(generators, 8)
    settings = TrainSettings(batch_size=4, iterations=5)
    with pytest.raises(RunError, match="iteration 3 of t1"):
        train(
            method,
            make_tasks(),
            settings=settings,
            generators=generators,
            observer=Observer(),
            device=CPU,
        )
    assert method.updates == 7
    assert torch.equal(method.weight, stopped_at(tmp_path, 7).weight)


@pytest.mark.parametrize(
    ("at", "bad", "cause"),
    [
        (1, {"loss": NAN}, "bring inputs into"),
        (3, {"loss": INF}, "a step that is too large; start another run with a smaller optimizer"),
        (3, {"gradient": INF}, r"gradient inf; likely cause: gradients that explode .*clip=1"),
        (3, {"penalty": NAN}, r"earlier tasks are thrown out of place.*regularizer\.beta"),
        (3, {"vae_loss": NAN}, r"smaller vae\.optimizer\.lr"),
    ],
)
def test_the_error_says_what_and_why(tmp_path: Path, at: int, bad, cause: str) -> None:
    with pytest.raises(NotFiniteError, match=cause) as caught:
        diverging(tmp_path, at, **bad).go()
    assert "\n" not in str(caught.value)
    assert caught.value.fault.good == at - 1


def test_the_number_before_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"loss nan \(\d.* before\)"):
        diverging(tmp_path, 3).go()


class Waiting(Diverging):
    """Goes wrong two updates earlier when it is repeated, as a GPU may."""

    def load_state_dict(self, state: State) -> None:
        super().load_state_dict(state)
        self.at = min(self.at, 2)


def test_a_repetition_that_fails_earlier_ends_before_that(tmp_path: Path) -> None:
    run = Run(tmp_path, checkpoint_seconds=NEVER)
    run.method = Waiting(run.generators, 4)
    with pytest.raises(RunError, match="iteration 2 of t0"):
        run.go()
    assert run.method.updates == 1


def test_noting_reads_nothing_off_the_device() -> None:
    health, phase = Health(), Phase(0, (), 100, (), title="t0")
    unreadable = {"loss": torch.zeros((), device="meta")}
    for iteration in range(1, 50):
        health.on_update(phase, iteration, unreadable)
    with pytest.raises(NotImplementedError):
        health.on_update(phase, 50, unreadable)


@pytest.mark.parametrize("bad", [1, 50, 51, 77, 100])
def test_the_first_bad_update_of_many_is_named(bad: int) -> None:
    def hundred() -> None:
        health, phase = Health(), Phase(0, (), 300, (), before=500, title="t0")
        for update in range(1, 101):
            loss = torch.tensor(NAN if update >= bad else float(update))
            some = {"penalty": torch.ones(())} if update > 3 else {}
            health.on_update(phase, 200 + update, {"loss": loss, **some})

    with pytest.raises(NotFiniteError) as caught:
        hundred()
    fault = caught.value.fault
    assert (fault.iteration, fault.good) == (200 + bad, 700 + bad - 1)
    assert fault.before.get("loss") == (None if bad == 1 else float(bad - 1))


class StopAt(Observer):
    def __init__(self, at: int) -> None:
        self.left = at

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        self.left -= 1
        if self.left == 0:
            raise StopTraining


@pytest.mark.parametrize("at", range(1, 11))
def test_a_run_that_is_stopped_is_saved_there_and_goes_on(tmp_path: Path, at: int) -> None:
    whole = Run(tmp_path / "whole")
    expected = whole.go()
    run = Run(tmp_path / "cut", checkpoint_seconds=NEVER)
    with pytest.raises(StopTraining):
        run.go(observer=StopAt(at))
    found = run.store.load_newest()
    assert found is not None
    assert found.step == at
    again = Run(tmp_path / "cut")
    result = again.go()
    assert torch.equal(again.method.weight, whole.method.weight)
    assert again.log() == whole.log()
    assert (result.accuracy["task"][-1] == expected.accuracy["task"][-1]).all()


def test_nothing_bad_is_saved_when_stopped(tmp_path: Path) -> None:
    run = diverging(tmp_path, 3)
    with pytest.raises(RunError, match="iteration 3 of t0"):
        run.go(observer=StopAt(4))
    found = run.store.load_newest()
    assert found is not None
    assert found.step == 2


def test_what_is_kept_in_memory_does_not_follow_later_training() -> None:
    store, weight = MemoryStore(), torch.zeros(2)
    assert store.load_newest() is None
    store.save(3, {"weight": weight, "more": [1]})
    weight += 1
    for _ in range(2):
        found = store.load_newest()
        assert found is not None
        assert found.step == 3
        assert torch.equal(found.state["weight"], torch.zeros(2))
        found.state["weight"] += 1
