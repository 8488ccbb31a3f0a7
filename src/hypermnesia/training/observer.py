"""Those who watch a run: told what happens, asked what they must remember to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from hypermnesia.data.types import Task
from hypermnesia.methods.base import State
from hypermnesia.training.evaluate import Rows
from hypermnesia.training.phases import Phase


class StopTraining(BaseException):
    """Raised by an observer in `on_update`: the loop saves the run, and lets this through.

    Like `KeyboardInterrupt` it is no `Exception`: nobody takes it for a failure of the training.
    """


class Observer:
    """What the loop tells; this one does nothing about it, others care for some of the calls.

    On a resumed run `load_state_dict` comes before `on_start`, and `on_resume` after it.
    """

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """The run begins, or goes on."""

    def lost(self) -> Sequence[str]:
        """What of the past was no good and is begun anew, a line each; asked after `on_start`."""
        return ()

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        """It goes on from a checkpoint, without what `skipped` names: NAME: why it was no good.

        These are newer checkpoints, what observers `lost`, and an update that went wrong: the
        loop then goes back, all in one process, to end where the run was still good.
        """

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """An update is done, the `iteration`-th of its phase, from 1.

        `metrics` are detached scalars that may still be in the making on the device: reading
        one (`float(...)`) waits for it.
        """

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """A phase is learned, every task seen evaluated: row `phase.row` of each scenario's R."""

    def state_dict(self) -> State:
        """What to remember of the past; it goes into the checkpoint being made."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Go back to where `state_dict` was asked; whatever came later will be told again."""


class ObserverGroup(Observer):
    """Several observers as one, told in order."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_start(tasks, total_iterations)

    def lost(self) -> Sequence[str]:
        """What each lost."""
        return [line for observer in self.observers for line in observer.lost()]

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_resume(done_iterations, skipped)

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_update(phase, iteration, metrics)

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Tell each."""
        for observer in self.observers:
            observer.on_task_end(phase, rows)

    def state_dict(self) -> State:
        """Each one's memory, by class name: one of a kind, the same after a resume."""
        return {type(observer).__name__: observer.state_dict() for observer in self.observers}

    def load_state_dict(self, state: State) -> None:
        """Hand each one's memory back; one that was not there before starts without."""
        for observer in self.observers:
            if type(observer).__name__ in state:
                observer.load_state_dict(state[type(observer).__name__])
