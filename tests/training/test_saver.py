"""When the loop saves, what it saves and what it says if that does not fit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_run import Linear

from hypermnesia.errors import DataError, RunError
from hypermnesia.seeding import Generators
from hypermnesia.training import MemoryStore, Observer
from hypermnesia.training.checkpoint import Saver, misfit_as_run_error
from hypermnesia.training.evaluation import Progress
from hypermnesia.training.observers import Health
from hypermnesia.training.phases import Phase


class Remembering(Observer):
    """Has a state."""

    def __init__(self) -> None:
        self.seen = 0

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]


class World:
    """A saver, and all that it saves."""

    def __init__(self, store: MemoryStore, every: float = 10.0) -> None:
        self.generators, self.observer = Generators(3), Remembering()
        self.method = Linear(self.generators)
        self.progress = Progress(2, ("task",), torch.device("cpu"))
        self.saver = Saver(
            store, every, self.method, self.generators, self.observer, self.progress, Health()
        )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock: its one entry is the time."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_the_next_is_due_so_long_after_the_last(clock: list[float]) -> None:
    saver = World(MemoryStore()).saver
    assert not saver.due()
    clock[0] = 109.9
    assert not saver.due()
    clock[0] = 110.0
    assert saver.due()
    saver.save(None)
    assert not saver.due()
    clock[0] = 120.0
    assert saver.due()


def test_everything_is_saved_and_put_back() -> None:
    store = MemoryStore()
    first = World(store)
    assert first.saver.restore() is None
    first.method.ended, first.observer.seen = 4, 5
    torch.randn(3, generator=first.generators["noise"])
    first.progress.on_update(Phase(0, (), 5, ()), 1, {})
    first.saver.save({"at": 6})
    second = World(store)
    found = second.saver.restore()
    assert found is not None
    assert found.step == second.progress.done == 1
    assert found.state["stream"] == {"at": 6}
    assert (second.method.ended, second.observer.seen) == (4, 5)
    states = (world.generators["noise"].get_state() for world in (first, second))
    assert torch.equal(*states)


@pytest.mark.parametrize("part", ["method", "generators", "observer", "progress"])
def test_a_state_of_something_else_is_told(part: str) -> None:
    store = MemoryStore()
    World(store).saver.save(None)
    found = store.load_newest()
    assert found is not None
    del found.state[part]
    store.save(0, found.state)
    with pytest.raises(RunError) as caught:
        World(store).saver.restore()
    assert str(caught.value) == (
        "the state in a checkpoint must fit the run that goes on from it; "
        f"""got "'{part}'"; """
        "restore the folder from a copy, or start the run anew in another folder"
    )
    assert isinstance(caught.value.__cause__, KeyError)


def test_what_does_not_fit_is_told_in_a_line() -> None:
    with pytest.raises(RunError) as caught, misfit_as_run_error():
        raise ValueError(" first line\nsecond line\n")
    assert caught.value.got == "'first line'"
    with pytest.raises(RunError) as caught, misfit_as_run_error():
        raise ValueError
    assert caught.value.got == "'ValueError'"


@pytest.mark.parametrize("error", [DataError("data"), RunError("run")])
def test_what_is_told_already_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, misfit_as_run_error():
        raise error
    assert caught.value is error
