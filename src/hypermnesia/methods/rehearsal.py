"""Samples drawn of a task's old classes, where it learns new ones without any.

Pseudo-rehearsal (Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal"): inputs are
drawn from the evidence's densities, and the task's network as it was before answers them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.target import Buffers
from hypermnesia.state_files import State
from hypermnesia.tree import Tree, batch_size, logits_of, one_tensor

Draw = Callable[[int, int, torch.Generator], Tensor | None]
"""(task, count, generator) -> (count, entries) inputs like those of a task."""


class Rehearsal:
    """Inputs like those that a task had, with the answers that its network gave.

    Args:
        memory: of the task's networks, just after it was extended.
        task: its index.
        draw: as `Evidence.draw`.
        weights: (N,) of its network before; `buffers` are its buffers then.
    """

    def __init__(
        self, memory: WeightMemory, task: int, draw: Draw, weights: Tensor, buffers: Buffers
    ) -> None:
        self.memory, self.task, self.draw = memory, task, draw
        self.weights, self.buffers = weights, buffers
        self.layout = memory.before_extension(task)
        self.share = self.layout.outputs / memory.layouts[task].outputs

    @torch.no_grad()
    def like(self, x: Tree, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """As many inputs as (batch, *sample) `x`, and their (batch,) classes."""
        shown = one_tensor(x, "a density")
        drawn = self.draw(self.task, batch_size(x), generator)
        assert drawn is not None  # noqa: S101 - or the task would not have been extended so
        drawn = drawn.to(shown).view(shown.shape)
        run = self.memory.target(
            self.weights, drawn, layout=self.layout, buffers=self.buffers, training=False
        )
        return drawn, logits_of(run).argmax(dim=1)

    def state_dict(self) -> State:
        """The network as it was."""
        return {"weights": self.weights, "buffers": self.buffers}
