"""SIGTERM: how schedulers and shutdowns ask a process to end, some seconds before they kill it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from torch import Tensor

from hypermnesia.data.types import Task
from hypermnesia.training.evaluate import Rows
from hypermnesia.training.observer import Observer, StopTraining
from hypermnesia.training.phases import Phase


class Terminated(KeyboardInterrupt):
    """The process was asked to end. Treated as Ctrl-C is, by all who do not tell them apart."""


def at_once() -> bool:
    """Nothing is to be finished before the end."""
    return False


@contextmanager
def terminable(ask: Callable[[], bool] = at_once) -> Iterator[None]:
    """Treat SIGTERM as an interrupt; in another than the main thread, do nothing.

    Args:
        ask: whether an end will come all the same, a little later. If not, the handler that was
            there before is called; where there was none, `Terminated` is raised.

    Raises:
        Terminated: SIGTERM came, and nobody else deals with it.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if ask():
            return
        if callable(before):
            before(number, frame)
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # who may not set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Termination(Observer):
    """Has a training saved before it ends.

    What is at work, an update or an evaluation, is finished first. Before the first update and
    after the last there is nothing to save.
    """

    def __init__(self) -> None:
        self._asked = False
        self._last: int | None = None  # row of the last phase, while one is trained

    def ask(self) -> bool:
        """Ask for an end; whether it will come by itself, after the update at work."""
        self._asked = True
        return self._last is not None

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """From now on there is something to save."""
        self._last = len(tasks) - 1

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:  # noqa: ARG002
        """End the training if that was asked for.

        Raises:
            StopTraining: it was.
        """
        if self._asked:
            raise StopTraining

    def on_task_end(self, phase: Phase, rows: Rows) -> None:  # noqa: ARG002
        """After the last task the results are about to be written: that is not waited for."""
        if phase.row == self._last:
            self._last = None
