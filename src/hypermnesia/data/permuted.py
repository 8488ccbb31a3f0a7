"""Permuted benchmarks: every task shows the same images, its pixels in an order of its own.

I. Goodfellow et al., "An empirical investigation of catastrophic forgetting in gradient-based
neural networks", 2013, arXiv:1312.6211. The permutation is over the padded image, and the first
task is not permuted, as in von Oswald et al. 2020, arXiv:1906.00695.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hypermnesia.data.holdout import hold_out
from hypermnesia.data.images import ImageData
from hypermnesia.data.settings import BenchmarkSettings
from hypermnesia.data.types import Part, Task
from hypermnesia.seeding import Generators


@dataclass(frozen=True)
class Permutation:
    """A fixed order of the entries of a sample, applied to a batch.

    Attributes:
        order: (entries,) int64, where each entry of the result comes from.
    """

    order: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """`x` (batch, *sample) with the entries of each sample in the new order."""
        return x.flatten(1).index_select(1, self.order.to(x.device)).reshape(x.shape)

    @property
    def inverse(self) -> Permutation:
        """The permutation that puts every entry back."""
        return Permutation(self.order.argsort())


def permuted_tasks(
    data: ImageData, settings: BenchmarkSettings, tasks: int, seed: int
) -> tuple[Task, ...]:
    """A sequence of permutations of `data`, which all share one storage of uint8 images."""
    generators = Generators(seed)
    train_x, test_x = (F.pad(x, (settings.padding,) * 4) for x in (data.train_x, data.test_x))
    everything = torch.arange(len(data.train_y))
    rows, held_out = hold_out(everything, settings.validation, generators["validation"])

    def task(index: int) -> Task:
        generator = generators[f"permutation/{index}"]
        transform = Permutation(torch.randperm(train_x[0].numel(), generator=generator))

        def part(x: Tensor, y: Tensor, rows: Tensor | None) -> Part:
            labels = y if rows is None else y[rows]
            return Part(x, labels, index, data.scale, transform if index else None, rows)

        kept = None if held_out is None else part(train_x, data.train_y, held_out)
        train, test = part(train_x, data.train_y, rows), part(test_x, data.test_y, None)
        name = f"permutation {index}" if index else "unpermuted"
        return Task(index, name, data.classes, train, kept, test)

    return tuple(task(index) for index in range(tasks))
