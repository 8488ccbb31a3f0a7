"""The output regulariser by its definition: regenerate, compare, average.

    R(θ) = 1/(T-1) Σ_{t<T} || h(e_t; θ*) - h(e_t; θ) ||²

von Oswald et al. 2020, equation 2. Here T - 1 is the number of earlier tasks: the mean over
them, as in the authors' code (their slides print the plain sum).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import functional_call

from hypermnesia.hypernet.network import Hypernetwork
from hypermnesia.regularizers.base import (
    REGULARIZERS,
    Parameters,
    Point,
    Snapshot,
    without_options,
)


class DirectRegularizer:
    """Keeps the weights of every earlier target network and regenerates them at every call.

    Time and memory grow with tasks x N.
    """

    def __init__(self, hypernet: Hypernetwork, snapshot: Snapshot) -> None:
        self.hypernet, self.snapshot = hypernet, snapshot
        with torch.no_grad():
            self.wanted = self._weights(snapshot.parameters)

    def _weights(self, parameters: Parameters) -> list[Tensor]:
        tasks = zip(self.snapshot.conditions, self.snapshot.plans, strict=True)
        return [
            functional_call(self.hypernet, parameters, (condition[None], plan))[0]
            for condition, plan in tasks
        ]

    def __call__(self, point: Point, gradients: Parameters, beta: float) -> Tensor:
        """R, a scalar, at `point`; β times its gradient is added to `gradients`."""
        leaves = {name: rows[:].detach().requires_grad_() for name, rows in point.items()}
        pairs = zip(self._weights(leaves), self.wanted, strict=True)
        distances = torch.stack([(now - then).square().sum() for now, then in pairs])
        value = distances.mean()
        pull = torch.autograd.grad(value, list(leaves.values()))
        for name, part in zip(leaves, pull, strict=True):
            gradients[name].add_(part, alpha=beta)
        return value.detach()


REGULARIZERS.add("direct", without_options(DirectRegularizer))
