"""Those who watch a run: told what happens, asked what they must remember to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from hypermnesia.data.types import Task
from hypermnesia.methods.base import State
from hypermnesia.training.evaluate import Evaluation
from hypermnesia.training.plan import Phase


class Observer(Protocol):
    """What the loop tells. On a resumed run `load_state_dict` comes before `on_start`."""

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """The run begins, or goes on."""

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        """It goes on from a checkpoint; `skipped` says which newer ones were no good, and why."""

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """An update is done, the `iteration`-th of its phase, from 1.

        `metrics` are detached scalars that may still be in the making on the device: reading
        one (`float(...)`) waits for it.
        """

    def on_task_end(self, phase: Phase, row: Sequence[Evaluation]) -> None:
        """A phase is learned and every task seen was evaluated: row `phase.row` of R."""

    def state_dict(self) -> State:
        """What to remember of the past; it goes into the checkpoint being made."""

    def load_state_dict(self, state: State) -> None:
        """Go back to where `state_dict` was asked; whatever came later will be told again."""


class NullObserver:
    """Watches nothing; a base for observers that care for some of the calls."""

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """Does nothing."""

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        """Does nothing."""

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """Does nothing."""

    def on_task_end(self, phase: Phase, row: Sequence[Evaluation]) -> None:
        """Does nothing."""

    def state_dict(self) -> State:
        """Nothing to remember."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Does nothing."""


class ObserverGroup:
    """Several observers as one, told in order."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_start(tasks, total_iterations)

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_resume(done_iterations, skipped)

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_update(phase, iteration, metrics)

    def on_task_end(self, phase: Phase, row: Sequence[Evaluation]) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_task_end(phase, row)

    def state_dict(self) -> State:
        """Each one's memory, by class name: one of a kind, the same after a resume."""
        return {type(observer).__name__: observer.state_dict() for observer in self.observers}

    def load_state_dict(self, state: State) -> None:
        """Hand each one's memory back; one that was not there before starts without."""
        for observer in self.observers:
            if type(observer).__name__ in state:
                observer.load_state_dict(state[type(observer).__name__])
