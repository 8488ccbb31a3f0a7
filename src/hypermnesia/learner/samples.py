"""The samples of a fit: what is held out of them, and in which order the rest is learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hypermnesia.data.stream import BatchStream
from hypermnesia.data.types import Batch, hold_out
from hypermnesia.learner.inputs import Source


@dataclass(frozen=True)
class SourceSamples:
    """Samples that are read from their source when a batch is made, and go to `device`.

    Attributes:
        encode: targets as the user gives them -> (n, ...) targets of the loss.
        y: (n, ...) those that were read first; a batch has the ones that are read with its inputs.
        rows: (n,) int64 rows of the source, on the CPU.
        order: (m,) int64 numbers of samples, in the order in which to learn; None for any order.
    """

    source: Source
    encode: Callable[[Any], Tensor]
    y: Tensor
    rows: Tensor
    task: int
    device: torch.device
    order: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor) -> Batch:
        """The samples at `indices` ((batch,) int64, on the CPU)."""
        x, given = self.source.pair(self.rows[indices])
        y, task = self.encode(given), torch.full((len(x),), self.task)
        return Batch(*(each.to(self.device) for each in (x, y, task)))

    def some(self, indices: Tensor) -> SourceSamples:
        """Those at `indices` ((k,) int64, each once)."""
        order = self.order
        if order is not None:
            places = torch.full((len(self),), -1)
            places[indices] = torch.arange(len(indices))
            order = places[order][places[order] >= 0]
        return replace(self, y=self.y[indices], rows=self.rows[indices], order=order)


def divided(
    everything: SourceSamples, share: float, generator: torch.Generator
) -> tuple[SourceSamples, SourceSamples | None]:
    """Samples to learn from and a share of them held out, or None if that is not even one.

    Where a sampler says how often each is drawn, the held-out ones are as often, too.
    """
    rows, y = torch.arange(len(everything)), everything.y
    classes = None if y.is_floating_point() else y
    learned, held = hold_out(rows, int(share * len(everything)), generator, classes)
    if held is None:
        return everything, None
    apart = everything.some(held)
    if apart.order is not None:
        drawn = apart.order[: len(held)]
        apart = replace(apart, y=apart.y[drawn], rows=apart.rows[drawn], order=None)
    return everything.some(learned), apart


class InOrder:
    """Mini-batches of samples in an order of theirs, (m,) int64, which begins again at its end."""

    def __init__(self, samples: SourceSamples, order: Tensor, batch_size: int) -> None:
        self._samples, self._order = samples, order
        self._size, self._drawn = min(batch_size, len(order)), 0

    def next(self) -> Batch:
        """Draw the next mini-batch."""
        places = torch.arange(self._drawn, self._drawn + self._size) % len(self._order)
        self._drawn += self._size
        return self._samples.batch(self._order[places])


def stream_of(
    samples: SourceSamples, batch_size: int, generator: torch.Generator
) -> BatchStream | InOrder:
    """The mini-batches of a fit: in the samples' order, or shuffled by the generator."""
    if samples.order is not None:
        return InOrder(samples, samples.order, batch_size)
    return BatchStream([samples], batch_size, generator)
