"""Some rows of a source as samples of a task, for mini-batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hypermnesia.data.holdout import hold_out
from hypermnesia.data.types import Batch
from hypermnesia.learner.sources import Source


@dataclass(frozen=True)
class SourceSamples:
    """Samples that are read from their source when a batch is made.

    Attributes:
        source: has the inputs.
        y: (n, ...) targets, encoded.
        rows: (n,) int64 rows of the source, on the CPU.
        task: index of the task.
        device: where batches go.
    """

    source: Source
    y: Tensor
    rows: Tensor
    task: int
    device: torch.device

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor) -> Batch:
        """The samples at `indices` ((batch,) int64, on the CPU)."""
        x, y = self.source.read(self.rows[indices]), self.y[indices]
        task = torch.full((len(y),), self.task)
        return Batch(*(each.to(self.device) for each in (x, y, task)))


def divided(
    everything: SourceSamples, share: float, generator: torch.Generator
) -> tuple[SourceSamples, SourceSamples | None]:
    """Samples to learn from and a share of them held out, or None if that is not even one."""
    rows = torch.arange(len(everything))
    learned, held = hold_out(rows, int(share * len(everything)), generator)
    return _chosen(everything, learned), None if held is None else _chosen(everything, held)


def _chosen(samples: SourceSamples, rows: Tensor) -> SourceSamples:
    source, task, device = samples.source, samples.task, samples.device
    return SourceSamples(source, samples.y[rows], samples.rows[rows], task, device)
