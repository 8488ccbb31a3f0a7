"""The networks of all tasks, evaluated at once on the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.compute import autocast
from hypermnesia.hypernet.layout import Layout
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.target import Buffers
from hypermnesia.tree import Tree, logits_of


@dataclass(frozen=True)
class TaskGroup:
    """Tasks whose networks have the same shapes, with weights and buffers of each network.

    There are `memory.draws` networks of a task, one after another.
    """

    tasks: list[int]
    layout: Layout
    weights: Float[Tensor, "networks N"]
    buffers: list[Buffers]


class TaskGroups:
    """All tasks of a memory, which may go on learning, in groups.

    Weights are kept until θ, a condition or the tasks change. Where they would take more than
    `budget` bytes, they are made a few tasks at a time and not kept.
    """

    def __init__(self, memory: WeightMemory, budget: int) -> None:
        self.memory, self.budget = memory, budget
        self._kept: list[TaskGroup] = []
        self._made_of: list[Tensor] = []

    def forget(self) -> None:
        """Drop kept weights, to give their room to training."""
        self._kept, self._made_of = [], []

    def __iter__(self) -> Iterator[TaskGroup]:
        """Yield tasks of the same shapes together, as many at a time as the budget allows."""
        memory = self.memory
        of_weight = memory.hypernet.head.weight.element_size() * memory.draws
        if sum(layout.total for layout in memory.layouts) * of_weight > self.budget:
            yield from self._made(of_weight)
            return
        # By value: a fused optimiser leaves no trace in a tensor's version.
        conditions = memory.condition(range(memory.tasks))
        now = [p.detach() for p in (*memory.hypernet.parameters(), conditions)]
        then = self._made_of
        if len(now) != len(then) or not all(map(torch.equal, now, then)):
            self._made_of = [p.clone() for p in now]
            self._kept = list(self._made(of_weight))
        for group in self._kept:
            # Buffers are small, and training replaces them: never kept.
            yield replace(group, buffers=self._buffers(group.tasks))

    def _buffers(self, tasks: list[int]) -> list[Buffers]:
        return [self.memory.buffers[task] for task in tasks for _ in range(self.memory.draws)]

    def _made(self, of_weight: int) -> Iterator[TaskGroup]:
        """Make the groups, given the bytes of a weight in all draws."""
        memory = self.memory
        of_layout: dict[tuple[int, ...], list[int]] = {}
        for task, layout in enumerate(memory.layouts):
            of_layout.setdefault((layout.outputs, *layout.grown), []).append(task)
        for same in of_layout.values():
            layout = memory.layouts[same[0]]
            size = max(1, self.budget // (layout.total * of_weight))
            for tasks in (same[start : start + size] for start in range(0, len(same), size)):
                with torch.no_grad():
                    weights = memory.networks(tasks)
                yield TaskGroup(tasks, layout, weights, self._buffers(tasks))


BUDGET = 1 << 28
"""Bytes that kept weights, and activations of a call, may each take (256 MiB)."""

_ALIVE = 4  # activations of the largest layer's size at once: in, out and work space
Ask = Callable[[TaskGroup, Tree], Tensor]
"""(group, some of the inputs) -> (tasks, batch, *rest) of the group's tasks on these inputs."""


class AllTasks:
    """Asks every task's network of a memory, in batched calls; no gradients.

    Weights of all tasks are made once, as `TaskGroups` says. Inputs go through in slices whose
    activations stay within `budget` bytes, but for a single sample.
    """

    def __init__(self, memory: WeightMemory, budget: int = BUDGET) -> None:
        self.memory, self.budget = memory, budget
        self.groups = TaskGroups(memory, budget)
        self._activations: dict[tuple[torch.Size, ...], int] = {}

    def forget(self) -> None:
        """Drop kept weights, to give their room to training."""
        self.groups.forget()

    @torch.no_grad()
    def __call__(self, x: Tree) -> Float[Tensor, "tasks batch *rest"]:
        """Run all tasks' networks on (batch, *sample) inputs; -inf where a task has no output."""
        return self.ask(x, self._exact)

    @torch.no_grad()
    def screened(self, x: Tree) -> Float[Tensor, "tasks batch *rest"]:
        """Answer (batch, *sample) inputs nearly so, with products in bf16, which is faster."""
        return self.ask(x, self._in_bf16)

    def _exact(self, group: TaskGroup, x: Tree) -> Tensor:
        target, layout, buffers = self.memory.target, group.layout, group.buffers
        return logits_of(target.each(group.weights, x, layout=layout, buffers=buffers))

    def _in_bf16(self, group: TaskGroup, x: Tree) -> Tensor:
        with autocast("bf16", group.weights.device):
            return self._exact(group, x).to(group.weights.dtype)

    @torch.no_grad()
    def settle(self, x: Tree, logits: Tensor, doubtful: Bool[Tensor, "tasks batch"]) -> None:
        """Put float32 into (tasks, batch, outputs) logits where the answer to `x` is doubtful."""
        for group in self.groups:
            run = partial(self.memory.target, layout=group.layout, training=False)
            size = self._slice(x, group, self._exact)
            networks = zip(group.tasks, group.weights, group.buffers, strict=True)
            for task, weights, buffers in networks:
                some = doubtful[task].nonzero().squeeze(1)
                for part in torch.split(some, size) if len(some) else ():
                    exact = logits_of(run(weights, tree.index(x, part), buffers=buffers))
                    logits[task, part, : exact.shape[1]] = exact

    @torch.no_grad()
    def ask(self, x: Tree, question: Ask) -> Float[Tensor, "tasks batch *rest"]:
        """Put `question` about (batch, *sample) inputs to all tasks, slice by slice."""
        parts = []
        for group in self.groups:
            slices = tree.split(x, self._slice(x, group, question))
            answers = torch.cat([question(group, some) for some in slices], dim=1)
            parts.append((group.tasks, answers))
        widest = max((answers for _, answers in parts), key=lambda answers: answers.shape[-1])
        joined = widest.new_full((self.memory.tasks, *widest.shape[1:]), -torch.inf)
        for tasks, answers in parts:
            joined[tasks, ..., : answers.shape[-1]] = answers
        return joined

    def _slice(self, x: Tree, group: TaskGroup, question: Ask) -> int:
        """Return how many samples' activations fit into the budget."""
        leaves = tree.leaves(x)
        shapes = tuple(leaf.shape[1:] for leaf in leaves)
        if shapes not in self._activations:
            with _layer_outputs(self.memory.target.evaluated) as entries:
                question(group, tree.index(x, slice(2)))  # one is too few for batch norms
            self._activations[shapes] = -(-max(entries) // min(2, tree.batch_size(x)))
        size = max(leaf.element_size() for leaf in leaves)
        row = _ALIVE * len(group.weights) * self._activations[shapes] * size
        return max(1, self.budget // row)


@contextmanager
def _layer_outputs(module: nn.Module) -> Iterator[list[int]]:
    """Collect the number of entries of what each layer gives, tasks not counted."""
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
