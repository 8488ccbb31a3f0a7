"""What a fit did, block by block, and a user's callbacks on the way."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hypermnesia.errors import ConfigError
from hypermnesia.training.observers import Observer
from hypermnesia.training.phases import Phase

BLOCK = 50
"""Updates whose means make one entry of a history."""

HOOKS = ("on_fit_begin", "on_update", "on_validation", "on_fit_end")
"""What a callback can have, one or more of them."""


@dataclass
class FitHistory:
    """How a fit went.

    Attributes:
        task: the name of what was learned.
        updates: how many were taken.
        seconds: how long they took, with looks at held-out samples.
        losses: by name, the means over blocks of `BLOCK` updates of all that an update reports:
            `loss`, `penalty` of the earlier tasks from the second on, and others.
        validation: (updates taken, mean held-out losses by name) of each look.
    """

    task: Any
    updates: int = 0
    seconds: float = 0.0
    losses: dict[str, list[float]] = field(default_factory=dict)
    validation: list[tuple[int, dict[str, float]]] = field(default_factory=list)


def callbacks_of(given: Any) -> list[Any]:
    """The callbacks given, one or several; raises `ConfigError` for one without any hook."""
    callbacks = list(given) if isinstance(given, list | tuple) else [given]
    for each in callbacks:
        if not any(hasattr(each, hook) for hook in HOOKS):
            rule = f"a callback must have one or more of {', '.join(HOOKS)}"
            raise ConfigError(rule, got=type(each).__name__, hint="add a method of such a name")
    return callbacks


class Recorder(Observer):
    """Writes the history of a fit, and tells the callbacks of it.

    These may raise `StopTask` in `on_update` and `on_validation`, which ends the fit.
    """

    def __init__(self, task: Any, callbacks: Sequence[Any] = ()) -> None:
        self.history, self._callbacks = FitHistory(task), callbacks
        self._block: list[Mapping[str, Tensor]] = []
        self._start = time.monotonic()

    def call(self, hook: str, *arguments: object) -> None:
        """Call a hook of all callbacks that have it."""
        for callback in self._callbacks:
            if (method := getattr(callback, hook, None)) is not None:
                method(*arguments)

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:  # noqa: ARG002
        """Remember the scalars of an update; the device is waited for once a block."""
        self._block.append(metrics)
        self.history.updates = iteration
        if len(self._block) == BLOCK:
            self._close_block()
        self.call("on_update", iteration, metrics)

    def on_validation(self, phase: Phase, iteration: int, losses: Mapping[str, float]) -> None:  # noqa: ARG002
        """Remember the held-out losses."""
        self.history.validation.append((iteration, dict(losses)))
        self.call("on_validation", iteration, dict(losses))

    def on_updates_end(self, phase: Phase) -> None:  # noqa: ARG002
        """Stop the clock."""
        self._close_block()
        self.history.seconds = time.monotonic() - self._start

    def _close_block(self) -> None:
        for name in dict.fromkeys(name for metrics in self._block for name in metrics):
            values = [metrics[name] for metrics in self._block if name in metrics]
            self.history.losses.setdefault(name, []).append(float(torch.stack(values).mean()))
        self._block = []
