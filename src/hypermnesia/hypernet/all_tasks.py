"""The networks of all tasks, asked at once about the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.target import Buffers, Layout
from hypermnesia.precision import Precision, autocast

BUDGET = 1 << 28
"""Bytes that kept weights, and activations of a call, may each take (256 MiB)."""

_ALIVE = 4
"""Activations of the largest layer's size that are alive at once: in, out and work space."""


@dataclass(frozen=True)
class TaskGroup:
    """Tasks whose networks have the same shapes.

    Attributes:
        tasks: their numbers.
        layout: which they share.
        weights: (tasks, N), a row for each.
        buffers: of each.
    """

    tasks: list[int]
    layout: Layout
    weights: Float[Tensor, "tasks N"]
    buffers: list[Buffers]


Ask = Callable[[TaskGroup, Tensor], Tensor]
"""(group, some of the inputs) -> (tasks, batch, *rest) of the group's tasks on these inputs."""


class AllTasks:
    """Asks every task's network of a memory, in batched calls; no gradients.

    The weights of all tasks are made once and kept until θ, an embedding or the tasks change. Where
    they would take more than `budget`, they are made a few tasks at a time and not kept. Inputs
    go through in slices whose activations stay within `budget`, but for a single sample.

    Args:
        memory: the tasks; may go on learning.
        budget: bytes.
    """

    def __init__(self, memory: WeightMemory, budget: int = BUDGET) -> None:
        self.memory, self.budget = memory, budget
        self._kept: list[TaskGroup] = []
        self._made_of: list[Tensor] = []
        self._activations: dict[torch.Size, int] = {}

    def forget(self) -> None:
        """Drop kept weights, to give their room to training."""
        self._kept, self._made_of = [], []

    @torch.no_grad()
    def __call__(
        self, x: Tensor, precision: Precision = "float32"
    ) -> Float[Tensor, "tasks batch *rest"]:
        """What every task's network gives for (batch, *sample) inputs.

        Where tasks have different numbers of outputs, -inf stands beyond a task's own.

        Args:
            x: inputs.
            precision: of the products; what comes out is float32 either way.
        """
        return self.ask(x, partial(self._each, precision=precision))

    def _each(self, group: TaskGroup, x: Tensor, precision: Precision) -> Tensor:
        target, layout, buffers = self.memory.target, group.layout, group.buffers
        with autocast(precision, x.device):
            outputs: Tensor = target.each(group.weights, x, layout=layout, buffers=buffers)
        return outputs.to(x.dtype)

    @torch.no_grad()
    def settle(
        self,
        x: Tensor,
        scores: Float[Tensor, "tasks batch outputs"],
        doubtful: Bool[Tensor, "tasks batch"],
    ) -> None:
        """Put the scores of float32 where a network's answer to a sample is doubtful."""
        target = self.memory.target
        for group in self.groups():
            for task, weights, buffers in zip(
                group.tasks, group.weights, group.buffers, strict=True
            ):
                some = doubtful[task].nonzero().squeeze(1)
                if len(some):
                    exact = target(
                        weights, x[some], layout=group.layout, buffers=buffers, training=False
                    )
                    scores[task, some, : exact.shape[1]] = exact

    @torch.no_grad()
    def ask(self, x: Tensor, question: Ask) -> Float[Tensor, "tasks batch *rest"]:
        """The answers of all tasks to `question`, group by group and slice by slice."""
        parts = []
        for group in self.groups():
            slices = torch.split(x, self._slice(x, group, question))
            answers = torch.cat([question(group, some) for some in slices], dim=1)
            parts.append((group.tasks, answers))
        return _padded(parts)

    def groups(self) -> Iterator[TaskGroup]:
        """All tasks, those of the same shapes together, as many at a time as the budget allows."""
        memory = self.memory
        size = sum(layout.total for layout in memory.layouts) * _bytes(memory)
        if size > self.budget:
            yield from self._made()
            return
        # By value: a fused optimiser leaves no trace in a tensor's version.
        now = [p.detach() for p in (*memory.hypernet.parameters(), *memory.embeddings)]
        if not _equal(now, self._made_of):
            self._made_of = [p.clone() for p in now]
            self._kept = list(self._made())
        yield from map(self._now, self._kept)

    def _made(self) -> Iterator[TaskGroup]:
        memory = self.memory
        of_layout: dict[int, list[int]] = {}
        for task, layout in enumerate(memory.layouts):
            of_layout.setdefault(layout.outputs, []).append(task)
        for tasks in of_layout.values():
            layout = memory.layouts[tasks[0]]
            at_once = max(1, self.budget // (layout.total * _bytes(memory)))
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
        buffers = [self.memory.buffers[task] for task in group.tasks]
        return TaskGroup(group.tasks, group.layout, group.weights, buffers)

    def _slice(self, x: Tensor, group: TaskGroup, question: Ask) -> int:
        shape = x.shape[1:]
        if shape not in self._activations:
            with _layer_outputs(self.memory.target.module) as entries:
                question(group, x[:1])
            self._activations[shape] = max(entries)
        row = _ALIVE * len(group.tasks) * self._activations[shape] * x.element_size()
        return max(1, self.budget // row)


def _bytes(memory: WeightMemory) -> int:
    return memory.hypernet.head.weight.element_size()


def _equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


@contextmanager
def _layer_outputs(module: nn.Module) -> Iterator[list[int]]:
    """Collects the number of entries of what each layer gives, tasks not counted."""
    entries = [1]

    def look(_module: nn.Module, _inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            entries.append(output.numel())

    layers = [part for part in module.modules() if not list(part.children())]
    hooks = [layer.register_forward_hook(look) for layer in layers]
    try:
        yield entries
    finally:
        for hook in hooks:
            hook.remove()


def _padded(parts: list[tuple[list[int], Tensor]]) -> Tensor:
    """(tasks, batch, *rest) in the order of the tasks, -inf where a part's last axis is short."""
    widest = max((answers for _, answers in parts), key=lambda answers: answers.shape[-1])
    tasks = sum(len(numbers) for numbers, _ in parts)
    everything = widest.new_full((tasks, *widest.shape[1:]), -torch.inf)
    for numbers, answers in parts:
        everything[numbers, ..., : answers.shape[-1]] = answers
    return everything
