"""The networks of all tasks, asked at once about the same samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hypermnesia.hypernet.groups import TaskGroup, TaskGroups
from hypermnesia.hypernet.int8 import check_int8
from hypermnesia.hypernet.int8_layers import each_in_int8
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.precision import Screen, autocast

BUDGET = 1 << 28
"""Bytes that kept weights, and activations of a call, may each take (256 MiB)."""

_ALIVE = 4
"""Activations of the largest layer's size that are alive at once: in, out and work space."""

Ask = Callable[[TaskGroup, Tensor], Tensor]
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
        if screen == "int8":
            check_int8(memory.device)
        self.memory, self.budget, self.screen = memory, budget, screen
        self.groups = TaskGroups(memory, budget, rounded=screen == "int8")
        self._activations: dict[torch.Size, int] = {}

    def forget(self) -> None:
        """Drop kept weights, to give their room to training."""
        self.groups.forget()

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Float[Tensor, "tasks batch *rest"]:
        """What every task's network gives for (batch, *sample) inputs.

        Where tasks have different numbers of outputs, -inf stands beyond a task's own.
        """
        return self.ask(x, self._exact)

    @torch.no_grad()
    def screened(self, x: Tensor) -> Float[Tensor, "tasks batch *rest"]:
        """The same for (batch, *sample) inputs, nearly: in the screen's format, which is faster."""
        if self.screen == "int8":
            return self.ask(x, self._in_int8)
        return self.ask(x, self._in_bf16)

    def _exact(self, group: TaskGroup, x: Tensor) -> Tensor:
        target, layout, buffers = self.memory.target, group.layout, group.buffers
        outputs: Tensor = target.each(group.weights, x, layout=layout, buffers=buffers)
        return outputs

    def _in_bf16(self, group: TaskGroup, x: Tensor) -> Tensor:
        with autocast("bf16", x.device):
            return self._exact(group, x).to(group.weights.dtype)

    def _in_int8(self, group: TaskGroup, x: Tensor) -> Tensor:
        return each_in_int8(self.memory.target, group, x)

    @torch.no_grad()
    def settle(
        self,
        x: Tensor,
        scores: Float[Tensor, "tasks batch outputs"],
        doubtful: Bool[Tensor, "tasks batch"],
    ) -> None:
        """Put the scores of float32 where an answer to (batch, *sample) inputs is doubtful."""
        for group in self.groups:
            at_once = self._slice(x, group, self._exact)
            for place, task in enumerate(group.tasks):
                some = doubtful[task].nonzero().squeeze(1)
                for part in torch.split(some, at_once) if len(some) else ():
                    exact = group.run(self.memory.target, place, x[part])
                    scores[task, part, : exact.shape[1]] = exact

    @torch.no_grad()
    def ask(self, x: Tensor, question: Ask) -> Float[Tensor, "tasks batch *rest"]:
        """The answers of all tasks to `question` about (batch, *sample) inputs, slice by slice."""
        parts = []
        for group in self.groups:
            slices = torch.split(x, self._slice(x, group, question))
            answers = torch.cat([question(group, some) for some in slices], dim=1)
            parts.append((group.tasks, answers))
        return _padded(parts)

    def _slice(self, x: Tensor, group: TaskGroup, question: Ask) -> int:
        shape = x.shape[1:]
        if shape not in self._activations:
            with _layer_outputs(self.memory.target.module) as entries:
                question(group, x[:1])
            self._activations[shape] = max(entries)
        row = _ALIVE * len(group.tasks) * self._activations[shape] * x.element_size()
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
