"""SIGTERM: how schedulers and shutdowns ask a process to end, some seconds before they kill it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from torch import Tensor

from hypermnesia.data.types import Task
from hypermnesia.training.evaluate import Rows
from hypermnesia.training.observer import Observer, StopTraining
from hypermnesia.training.phases import Phase


class Terminated(KeyboardInterrupt):
    """The process was asked to end. Treated as Ctrl-C is, by all who do not tell them apart."""


def terminate() -> NoReturn:
    """End at once."""
    raise Terminated


@contextmanager
def terminable(ask: Callable[[], None] = terminate) -> Iterator[None]:
    """Call `ask` when the process gets SIGTERM; in another than the main thread, do nothing."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        ask()

    if threading.current_thread() is not threading.main_thread():  # who may not set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Termination(Observer):
    """Has a training saved before it ends: between its first and its last update, `ask` waits.

    What is at work then, an update or an evaluation, is finished first. Elsewhere there is nothing
    to save, and `ask` ends the process at once.
    """

    def __init__(self) -> None:
        self._asked = False
        self._last: int | None = None  # row of the last phase, while one is trained

    def ask(self) -> None:
        """Ask for an end."""
        if self._last is None:
            terminate()
        self._asked = True

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """From now on there is something to save."""
        self._last = len(tasks) - 1

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:  # noqa: ARG002
        """End the training if that was asked for."""
        if self._asked:
            raise StopTraining

    def on_task_end(self, phase: Phase, rows: Rows) -> None:  # noqa: ARG002
        """After the last task the results are about to be written: that is not waited for."""
        if phase.row == self._last:
            self._last = None
