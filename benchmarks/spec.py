"""What is measured: a variant of the training iteration at some number of old tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.data.types import Batch
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.resolve import Request, resolve

Iteration = Callable[[Batch], object]
"""One training iteration of the newest task on a mini-batch."""


class CannotMeasure(Exception):
    """A variant that cannot run here; the message says why."""


@dataclass(frozen=True)
class Spec:
    """One measurement.

    Attributes:
        variant: a name in `benchmarks.measure.VARIANTS`.
        old_tasks: number of tasks that the regulariser protects.
        benchmark: name of the benchmark whose samples and recipes these are.
        recipe: its recipe, which sizes, batch and optimisers come from.
        outputs: width of every task's head.
        subset: number of old tasks that the variant `sampled` draws.
        rows: number of (task, chunk) rows that the variant `rows` draws.
        threads: threads of the processor.
        device: cpu or cuda.
        warmup: iterations before the clock starts.
        iterations: iterations that are timed.
        seconds: no further iteration is begun after this time, but three are always timed.
        assignments: `section.field=value` texts laid over the recipe.
    """

    variant: str
    old_tasks: int
    benchmark: str = "perm-mnist"
    recipe: str = "paper"
    outputs: int = 100
    subset: int = 32
    rows: int = 2048
    threads: int = 1
    device: str = "cpu"
    warmup: int = 3
    iterations: int = 20
    seconds: float = 20.0
    assignments: tuple[str, ...] = ()

    def config(self) -> ExperimentConfig:
        """The recipe, resolved as `hypermnesia run` does it."""
        request = Request(self.benchmark, recipe=self.recipe, assignments=self.assignments)
        return resolve(request)[0]

    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of a sample."""
        return BENCHMARKS[self.benchmark].sample_shape(self.config().data.padding)

    def batches(self, count: int = 4) -> list[Batch]:
        """Random mini-batches, made beforehand: reading data is not what is measured."""
        generator = torch.Generator().manual_seed(0)
        size = self.config().train.batch_size
        task = torch.full((size,), self.old_tasks)
        return [
            Batch(
                torch.rand(size, *self.shape(), generator=generator).to(self.device),
                torch.randint(self.outputs, (size,), generator=generator).to(self.device),
                task.to(self.device),
            )
            for _ in range(count)
        ]
