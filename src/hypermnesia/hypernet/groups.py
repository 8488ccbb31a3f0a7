"""The weights of all tasks' networks: made once, kept while there is room for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from hypermnesia.hypernet.int8 import Int8Weights
from hypermnesia.hypernet.layout import Layout
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.target import Buffers, Target


@dataclass(frozen=True)
class TaskGroup:
    """Tasks whose networks have the same shapes.

    Attributes:
        tasks: their numbers.
        layout: which they share.
        weights: (tasks, N), a row for each.
        buffers: of each.
        int8: layers of `weights`, by place and shape, that were rounded when first met in int8.
    """

    tasks: list[int]
    layout: Layout
    weights: Float[Tensor, "tasks N"]
    buffers: list[Buffers]
    int8: dict[tuple[int, torch.Size], Int8Weights] = field(default_factory=dict)

    def run(self, target: Target, place: int, x: Tensor) -> Tensor:
        """What the network of the task at a place in the group gives for `x`."""
        weights, buffers = self.weights[place], self.buffers[place]
        outputs: Tensor = target(weights, x, layout=self.layout, buffers=buffers, training=False)
        return outputs


class TaskGroups:
    """All tasks of a memory, in groups.

    Weights are made once and kept until θ, an embedding or the tasks change. Where they would take
    more than `budget`, they are made a few tasks at a time and not kept.

    Args:
        memory: the tasks; may go on learning.
        budget: bytes.
        rounded: whether there will be int8 weights beside the others.
    """

    def __init__(self, memory: WeightMemory, budget: int, *, rounded: bool = False) -> None:
        self.memory, self.budget, self._rounded = memory, budget, rounded
        self._kept: list[TaskGroup] = []
        self._made_of: list[Tensor] = []

    def forget(self) -> None:
        """Drop kept weights, to give their room to training."""
        self._kept, self._made_of = [], []

    def __iter__(self) -> Iterator[TaskGroup]:
        """Tasks of the same shapes together, as many at a time as the budget allows."""
        memory = self.memory
        if sum(layout.total for layout in memory.layouts) * self._bytes() > self.budget:
            yield from self._made()
            return
        # By value: a fused optimiser leaves no trace in a tensor's version.
        now = [p.detach() for p in (*memory.hypernet.parameters(), *memory.embeddings)]
        if not _equal(now, self._made_of):
            self._made_of = [p.clone() for p in now]
            self._kept = list(self._made())
        yield from map(self._now, self._kept)

    def _bytes(self) -> int:
        """Of a weight in all its formats."""
        return self.memory.hypernet.head.weight.element_size() + int(self._rounded)

    def _made(self) -> Iterator[TaskGroup]:
        memory = self.memory
        of_layout: dict[int, list[int]] = {}
        for task, layout in enumerate(memory.layouts):
            of_layout.setdefault(layout.outputs, []).append(task)
        for tasks in of_layout.values():
            at_once = max(1, self.budget // (memory.layouts[tasks[0]].total * self._bytes()))
            for start in range(0, len(tasks), at_once):
                yield self._make(tasks[start : start + at_once])

    @torch.no_grad()
    def _make(self, tasks: list[int]) -> TaskGroup:
        memory = self.memory
        conditions = torch.stack([memory.embeddings[task] for task in tasks])
        weights = memory.hypernet(conditions, memory.plans[tasks[0]])
        return self._now(TaskGroup(tasks, memory.layouts[tasks[0]], weights, []))

    def _now(self, group: TaskGroup) -> TaskGroup:
        # Buffers are small, and training replaces them: never kept.
        return replace(group, buffers=[self.memory.buffers[task] for task in group.tasks])


def _equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))
