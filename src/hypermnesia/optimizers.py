"""Optimisers as plain values: one is built afresh for every task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from hypermnesia.registry import Registry

OPTIMIZERS: Registry[type[Optimizer]] = Registry("optimizer")
OPTIMIZERS.add("adam", torch.optim.Adam)
OPTIMIZERS.add("adamw", torch.optim.AdamW)
OPTIMIZERS.add("sgd", torch.optim.SGD)
OPTIMIZERS.add("rmsprop", torch.optim.RMSprop)


@dataclass(frozen=True)
class OptimizerSettings:
    """Which optimiser, and how its step size changes within a task.

    Attributes:
        name: a name in `OPTIMIZERS`.
        lr: learning rate.
        options: further keyword arguments of the torch class (betas, momentum, weight_decay).
        schedule: share of the task's iterations done -> factor of `lr` from there on, until the
            next; a published schedule in epochs fits any length of task this way.
    """

    name: str = "adam"
    lr: float = 1e-3
    options: Mapping[str, Any] = field(default_factory=dict)
    schedule: Mapping[float, float] = field(default_factory=dict)

    def build(self, parameters: Iterable[Tensor]) -> Optimizer:
        """A fresh optimiser over `parameters`; the fused implementation where there is one."""
        kind = OPTIMIZERS[self.name]
        fused = {"fused": True} if "fused" in signature(kind).parameters else {}
        arguments: dict[str, Any] = {"lr": self.lr, **fused, **self.options}
        return kind(parameters, **arguments)

    def schedule_step(self, optimizer: Optimizer, iteration: int, iterations: int) -> None:
        """Set the step size that holds at `iteration` (from 0) of a task of `iterations`."""
        factor = 1.0
        for start, value in sorted(self.schedule.items()):
            if iteration >= start * iterations:
                factor = value
        for group in optimizer.param_groups:
            group["lr"] = self.lr * factor
