"""Which signal a command was interrupted by, whatever became of the exception that it raised.

An interrupt is an exception, raised wherever the program happens to be. In the middle of an import,
code that is not ours may swallow it, or break in other ways later: what is then reported is not
the error but the interrupt.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """An interrupt of its own class.

    Where a KeyboardInterrupt as such passes through `exec` of a text, which dataclasses use,
    CPython ends a program that `-m` started by SIGINT, though it was dealt with
    (`run_eval_code_obj`).
    """


@dataclass
class Noted:
    """The exit code that the last signal asks for, 128 + its number; None without any."""

    code: int | None = None


@contextmanager
def noting(noted: Noted) -> Iterator[None]:
    """Note SIGINT and SIGTERM in `noted`, and interrupt; but for a signal that is ignored."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        noted.code = 128 + number
        raise Interrupted

    if threading.current_thread() is not threading.main_thread():  # who may not set handlers
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    heard = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
