"""A bar while a fit is at work."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from hypermnesia.learner.fitting import Tell

_SECONDS = 0.3  # between two readings of the loss, each of which waits for the device


@contextmanager
def bar(title: str, updates: int, *, show: bool) -> Iterator[Tell]:
    """Who is told of every update, and shows it on stderr if asked to."""
    if not show:
        yield lambda _done, _loss, _held_out: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=15),
        TextColumn("{task.completed}/{task.total} {task.fields[status]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        shown, last = progress.add_task(title, total=updates, status=""), 0.0

        def tell(done: int, loss: Tensor, held_out: float) -> None:
            nonlocal last
            if done == updates or time.monotonic() - last >= _SECONDS:
                last = time.monotonic()
                rest = "" if math.isnan(held_out) else f", held out {held_out:.4f}"
                status = f"loss {float(loss):.4f}{rest}"
                progress.update(shown, completed=done, status=status)

        yield tell
