"""The updates of a task, which every training is made of."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from hypermnesia.data.stream import BatchStream
from hypermnesia.methods.base import Method
from hypermnesia.training.health import Health

Metrics = dict[str, Tensor]
"""Detached scalars that an update reports, `loss` among them."""


def updates(
    method: Method, stream: BatchStream, health: Health, numbers: range
) -> Iterator[tuple[int, Metrics]]:
    """Take updates of a task that has begun, each when it is asked for.

    Args:
        method: has begun the task.
        stream: its mini-batches.
        health: notes what they report, and has a last look when all are done.
        numbers: of the updates to take, from 0.

    Yields:
        How many updates of the task are done, and what the last one reported.

    Raises:
        NotFiniteError: a loss or a gradient is no finite number.
    """
    for number in numbers:
        metrics = method.update(stream.next())
        health.note(metrics)
        yield number + 1, metrics
    health.check()
