"""The networks of all tasks, evaluated at once on the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.compute import Screen, autocast
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.target import Buffers, Layout, Target
from hypermnesia.tree import Tree, logits_of


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

    def run(self, target: Target, place: int, x: Tree) -> Tensor:
        """What the network of the task at a place in the group gives for `x`."""
        weights, buffers = self.weights[place], self.buffers[place]
        return logits_of(target(weights, x, layout=self.layout, buffers=buffers, training=False))


class TaskGroups:
    """All tasks of a memory, in groups.

    Weights are made once and kept until θ, a condition or the tasks change. Where they would take
    more than `budget`, they are made a few tasks at a time and not kept.

    Args:
        memory: the tasks; may go on learning.
        budget: bytes.
    """

    def __init__(self, memory: WeightMemory, budget: int) -> None:
        self.memory, self.budget = memory, budget
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
        conditions = memory.condition(range(memory.tasks))
        now = [p.detach() for p in (*memory.hypernet.parameters(), conditions)]
        if not _equal(now, self._made_of):
            self._made_of = [p.clone() for p in now]
            self._kept = list(self._made())
        yield from map(self._now, self._kept)

    def _bytes(self) -> int:
        """Of a weight in all its formats."""
        return self.memory.hypernet.head.weight.element_size()

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
        weights = memory.hypernet(memory.condition(tasks), memory.plans[tasks[0]])
        return self._now(TaskGroup(tasks, memory.layouts[tasks[0]], weights, []))

    def _now(self, group: TaskGroup) -> TaskGroup:
        # Buffers are small, and training replaces them: never kept.
        return replace(group, buffers=[self.memory.buffers[task] for task in group.tasks])


def _equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


BUDGET = 1 << 28
"""Bytes that kept weights, and activations of a call, may each take (256 MiB)."""

_ALIVE = 4
"""Activations of the largest layer's size that are alive at once: in, out and work space."""

Ask = Callable[[TaskGroup, Tree], Tensor]
"""(group, some of the inputs) -> (tasks, batch, *rest) of the group's tasks on these inputs."""


class AllTasks:
    """Asks every task's network of a memory, in batched calls; no gradients.

    Weights of all tasks are made once, as `TaskGroups` says. Inputs go through in slices whose
    activations stay within `budget`, but for a single sample.

    Args:
        memory: the tasks; may go on learning.
        budget: bytes.
        screen: number format of the products of `screened`.

    Raises:
        ConfigError: products in this format cannot be made on the memory's device.
    """

    def __init__(
        self, memory: WeightMemory, budget: int = BUDGET, screen: Screen | None = None
    ) -> None:
        self.memory, self.budget, self.screen = memory, budget, screen
        self.groups = TaskGroups(memory, budget)
        self._activations: dict[tuple[torch.Size, ...], int] = {}

    def forget(self) -> None:
        """Drop kept weights, to give their room to training."""
        self.groups.forget()

    @torch.no_grad()
    def __call__(self, x: Tree) -> Float[Tensor, "tasks batch *rest"]:
        """What every task's network gives for (batch, *sample) inputs.

        Where tasks have different numbers of outputs, -inf stands beyond a task's own.
        """
        return self.ask(x, self._exact)

    @torch.no_grad()
    def screened(self, x: Tree) -> Float[Tensor, "tasks batch *rest"]:
        """The same for (batch, *sample) inputs, nearly: in the screen's format, which is faster."""
        return self.ask(x, self._in_bf16)

    def _exact(self, group: TaskGroup, x: Tree) -> Tensor:
        target, layout, buffers = self.memory.target, group.layout, group.buffers
        return logits_of(target.each(group.weights, x, layout=layout, buffers=buffers))

    def _in_bf16(self, group: TaskGroup, x: Tree) -> Tensor:
        with autocast("bf16", group.weights.device):
            return self._exact(group, x).to(group.weights.dtype)

    @torch.no_grad()
    def settle(
        self,
        x: Tree,
        logits: Float[Tensor, "tasks batch outputs"],
        doubtful: Bool[Tensor, "tasks batch"],
    ) -> None:
        """Put the logits of float32 where an answer to (batch, *sample) inputs is doubtful."""
        for group in self.groups:
            at_once = self._slice(x, group, self._exact)
            for place, task in enumerate(group.tasks):
                some = doubtful[task].nonzero().squeeze(1)
                for part in torch.split(some, at_once) if len(some) else ():
                    exact = group.run(self.memory.target, place, tree.index(x, part))
                    logits[task, part, : exact.shape[1]] = exact

    @torch.no_grad()
    def ask(self, x: Tree, question: Ask) -> Float[Tensor, "tasks batch *rest"]:
        """The answers of all tasks to `question` about (batch, *sample) inputs, slice by slice."""
        parts = []
        for group in self.groups:
            slices = tree.split(x, self._slice(x, group, question))
            answers = torch.cat([question(group, some) for some in slices], dim=1)
            parts.append((group.tasks, answers))
        return _padded(parts)

    def _slice(self, x: Tree, group: TaskGroup, question: Ask) -> int:
        leaves = tree.leaves(x)
        shapes = tuple(leaf.shape[1:] for leaf in leaves)
        if shapes not in self._activations:
            with _layer_outputs(self.memory.target.module) as entries:
                question(group, tree.index(x, slice(1)))
            self._activations[shapes] = max(entries)
        size = max(leaf.element_size() for leaf in leaves)
        row = _ALIVE * len(group.tasks) * self._activations[shapes] * size
        return max(1, self.budget // row)


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
