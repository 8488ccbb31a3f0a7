"""The head's matrix, nearly all of θ, stepped a block of rows at a time.

A block's gradient, the point where the lookahead takes it, what the regulariser adds to the
gradient and the optimiser's step follow each other while it is in the cache, and no vector of θ's
size is made. `HypernetTrainer.step` without it is the definition, to rounding: products of fewer
rows at a time round the last of them otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer

from hypermnesia.hypernet.generation import Generation
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.lookahead import adam_step
from hypermnesia.regularization.output import RegularizerSettings, block_rows

SMALLEST = 1 << 21
"""Entries of a head that are worth it: below, all of θ is in the cache anyway."""


class HeadStep:
    """The head's gradient, rows of which are made when asked for, and their step.

    As an entry among gradients it stands for that of `parameter`, of an update that has begun:
    `self[rows]` is a block that may be added to, `step(rows)` takes its step, `finish` those of all
    rows not stepped yet. Rows come in order.
    """

    def __init__(self, memory: WeightMemory, optimizer: Optimizer) -> None:
        self.parameter: Tensor = memory.hypernet.head.weight
        self._memory = memory
        self.generation, self._optimizer = Generation(memory.hypernet), optimizer
        self._rows = block_rows(self.parameter)
        self._scratch = torch.empty_like(self.parameter[: self._rows])
        self._block: tuple[slice, Tensor] | None = None
        self._dense: Tensor | None = None
        self._stepped, self._norms = 0, list[Tensor]()

    def loss(self, loss_of: Callable[[], Tensor]) -> Tensor:
        """Begin an update: the loss, a scalar, made through `WeightMemory.run` or otherwise."""
        self._block, self._stepped, self._norms = None, 0, []
        self.generation.begin()
        self._memory.generation = self.generation
        try:
            return loss_of()
        finally:
            self._memory.generation = None

    def placed(self, found: Sequence[Tensor | None], leaves: Sequence[Tensor]) -> list[Any]:
        """Return the gradients of all leaves, of which that of the head is this.

        It has a dense part where the loss asked for weights otherwise.
        """
        gradients: list[Any] = []
        for leaf, gradient in zip(leaves, found, strict=True):
            if leaf is self.parameter:
                self._dense = gradient
                gradients.append(self)
            else:
                gradients.append(torch.zeros_like(leaf) if gradient is None else gradient)
        if not (state := self._optimizer.state[self.parameter]):
            device = self.parameter.device
            state["step"] = torch.zeros((), dtype=torch.float32, device=device)
            for moment in ("exp_avg", "exp_avg_sq"):
                state[moment] = torch.zeros_like(self.parameter)
        return gradients

    @torch.no_grad()
    def __getitem__(self, rows: slice, /) -> Tensor:
        if self._block is None or self._block[0] != rows:
            out = self._scratch[: rows.stop - rows.start]
            self.generation.gradient(rows, out)
            if self._dense is not None:
                out += self._dense[rows]
            self._block = rows, out
        return self._block[1]

    @torch.no_grad()
    def step(self, rows: slice) -> None:
        """Take the optimiser's step on rows, by the block as it is now."""
        block, state = self[rows], self._optimizer.state[self.parameter]
        moments = [state["exp_avg"][rows], state["exp_avg_sq"][rows]]
        group = self._optimizer.param_groups[0]
        adam_step(group, self.parameter.detach()[rows], block, moments, state["step"].clone())
        self._norms.append(torch.linalg.vector_norm(block))
        self._block, self._stepped = None, rows.stop

    def finish(self) -> Tensor:
        """Step what is left; returns the norm of the gradient, a scalar."""
        while self._stepped < len(self.parameter):
            self.step(slice(self._stepped, min(self._stepped + self._rows, len(self.parameter))))
        self._optimizer.state[self.parameter]["step"] += 1
        self._dense = None
        norm: Tensor = torch.linalg.vector_norm(torch.stack(self._norms))
        return norm


def head_step(
    memory: WeightMemory,
    optimizer: Optimizer,
    settings: OptimizerSettings,
    regularizer: RegularizerSettings,
) -> HeadStep | None:
    """Return what steps the head in blocks; None where the definition does it as well or alone.

    That is: a small head, another optimiser than torch's fused Adam, a clipped gradient, chunks of
    several sizes, a regulariser or a lookahead that wants all rows at once, bf16, a GPU.
    """
    plain = type(optimizer) in (Adam, AdamW) and len(optimizer.param_groups) == 1
    plain = plain and type(memory) is WeightMemory and not memory.target.pretrained
    group, head = optimizer.param_groups[0], memory.hypernet.head.weight
    if not plain or not group["fused"] or group["amsgrad"] or settings.clip is not None:
        return None
    if memory.settings.plan == "layer" or memory.precision != "float32" or memory.target.compiled:
        return None
    ways = regularizer.kind in ("closed", "sampled"), regularizer.lookahead == "optimizer"
    if not all(ways) or head.device.type != "cpu" or head.numel() < SMALLEST:
        return None
    return HeadStep(memory, optimizer)
