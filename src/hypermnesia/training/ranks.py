"""What ranks do together in a training: stop, save, go on from rank 0's checkpoint, stay alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import safetensors.torch
from torch import Tensor

from hypermnesia import state_files
from hypermnesia.data.types import Task
from hypermnesia.errors import ConfigError
from hypermnesia.methods.base import Method, TakesParts
from hypermnesia.optimizers import Reduce
from hypermnesia.parallel import Ranks
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.training.checkpoint import Checkpoint, Saver, Store
from hypermnesia.training.observers import Observer, ObserverGroup, StopTraining
from hypermnesia.training.phases import Phase, Rows


def share(ranks: Ranks, method: Method, generators: Generators) -> None:
    """Have a method take the steps of whole batches, of which it is given parts.

    Raises `ConfigError` for a method that cannot.
    """
    parts_taker(method)(ranks.mean)
    generators.within = ranks.drawing


def parts_taker(method: Method) -> Callable[[Reduce], None]:
    """What tells a method that it is given parts; raises `ConfigError` for one without."""
    if not isinstance(method, TakesParts):
        rule = "with several ranks, a method must learn by gradients of a mean over the batch"
        hint = "train this one in one process, without torchrun"
        raise ConfigError(rule, got=type(method).__name__, hint=hint)
    return method.take_parts


class SharedStore:
    """Where rank 0 keeps checkpoints; all ranks go on from the one that it finds."""

    def __init__(self, ranks: Ranks, store: Store) -> None:
        self._ranks, self._store = ranks, store

    def save(self, step: int, state: State) -> None:
        """Have rank 0 save."""
        if self._ranks.rank == 0:
            self._store.save(step, state)

    def load_newest(self) -> Checkpoint | None:
        """Rank 0's newest; None if it has none."""
        found = None if self._ranks.rank else self._store.load_newest()
        about = None if found is None else {"step": found.step, "skipped": found.skipped}
        if (about := self._ranks.told(about)) is None:
            return None
        state = told_state(self._ranks, {} if found is None else found.state)
        return found or Checkpoint(about["step"], state, tuple(about["skipped"]))


def told_state(ranks: Ranks, state: State) -> State:
    """Rank 0's state, which others do not look at."""
    if ranks.rank:
        tree, content = ranks.told(), ranks.told_bytes()
        return state_files.unpack(tree, safetensors.torch.load(content))
    tree, tensors = state_files.pack(state)
    ranks.told(tree)
    ranks.told_bytes(safetensors.torch.save(tensors))
    return state


class SharedSaver(Saver):
    """Saves when the clock of any rank says so."""

    def __init__(self, ranks: Ranks, *of_saver: Any) -> None:
        super().__init__(*of_saver)
        self._ranks = ranks

    def due(self) -> bool:
        """Whether it is time for another checkpoint, on all ranks or none."""
        return self._ranks.any(super().due())


class Together(Observer):
    """Has a rank's own `observer` end a training only where all ranks end it.

    After each task all go on with rank 0's weights, should theirs differ by a rounding.
    """

    def __init__(self, ranks: Ranks, observer: Observer, method: Method) -> None:
        self._ranks, self._own, self._method = ranks, observer, method

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:
        """Hand on."""
        self._own.on_start(tasks, total_iterations)

    def lost(self) -> Sequence[str]:
        """What was lost."""
        return self._own.lost()

    def on_resume(self, done_iterations: int, skipped: Sequence[str]) -> None:
        """Hand on."""
        self._own.on_resume(done_iterations, skipped)

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """Hand on; raise `StopTraining` if it is raised on any rank."""
        stop = False
        try:
            self._own.on_update(phase, iteration, metrics)
        except StopTraining:
            stop = True
        if self._ranks.any(stop):
            raise StopTraining

    def on_validation(self, phase: Phase, iteration: int, losses: Mapping[str, float]) -> None:
        """Hand on."""
        self._own.on_validation(phase, iteration, losses)

    def on_stop(self, phase: Phase) -> None:
        """Hand on."""
        self._own.on_stop(phase)

    def on_updates_end(self, phase: Phase) -> None:
        """Hand on."""
        self._own.on_updates_end(phase)

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Hand on; take rank 0's weights."""
        self._own.on_task_end(phase, rows)
        state = told_state(self._ranks, {} if self._ranks.rank else self._method.state_dict())
        if self._ranks.rank:
            self._method.load_state_dict(state)

    def state_dict(self) -> State:
        """The observer's memory."""
        return self._own.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Hand it back."""
        self._own.load_state_dict(state)


class Averaging(ObserverGroup):
    """A group of observers that is told the metrics of whole batches."""

    def __init__(self, ranks: Ranks, *observers: Observer) -> None:
        super().__init__(*observers)
        self._ranks = ranks

    def on_update(self, *arguments: Any) -> None:
        """Average the metrics of an update over the ranks, and hand them on."""
        phase, iteration, metrics = arguments
        device = metrics["loss"].device
        means = self._ranks.mean([value.to(device) for value in metrics.values()])
        for observer in self.observers:
            observer.on_update(phase, iteration, dict(zip(metrics, means, strict=True)))
