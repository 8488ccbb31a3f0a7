"""Initial values of a hypernetwork.

Xavier-uniform as in von Oswald et al. 2020; hyperfan as in Chang et al. 2020 ("Principled weight
initialization for hypernetworks"), which sets the spread of the *generated* weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hypermnesia.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypermnesia.hypernet.network import Hypernetwork

INITS: Registry[Callable[[Hypernetwork, Tensor, torch.Generator], None]] = Registry("init")
"""Every initialisation, by name: (hypernetwork, variances, generator) -> None."""


@torch.no_grad()
def xavier(hypernet: Hypernetwork, variances: Tensor, generator: torch.Generator) -> None:  # noqa: ARG001
    """Xavier-uniform weights and zero biases, whatever the (N,) variances wanted."""
    for layer in (*hypernet.hidden, hypernet.head):
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)


@torch.no_grad()
def hyperfan(hypernet: Hypernetwork, variances: Tensor, generator: torch.Generator) -> None:
    """Generated weights start with the variance that the target network's layers want.

    A generated weight is v · φ + b with independent entries of v, so Var(v) = Var(weight) /
    (k E[φ²]) (Chang et al. 2020, equations for hyperfan-in). E[φ²] is measured on embeddings
    drawn as they start, N(0, 1). This is exact for a full plan; a row of the head that serves
    several chunks gets the mean of the variances that they want.

    Args:
        hypernet: the network to initialise, in place.
        variances: (N,) wanted variance of each weight of the target network.
        generator: source of the random numbers.
    """
    xavier(hypernet, variances, generator)
    plan = hypernet.plan
    wanted, makes = torch.zeros(plan.width), torch.zeros(plan.width)
    start = 0
    for n in plan.used:
        wanted[:n] += variances[start : start + n]
        makes[:n] += 1
        start += n
    conditions = torch.randn(64, hypernet.settings.task_embedding, generator=generator)
    features = hypernet.features(conditions.to(hypernet.head.weight))
    power = features.square().mean().item() * hypernet.head.in_features
    std = (wanted / makes.clamp(min=1) / power).sqrt().to(hypernet.head.weight)
    noise = torch.randn(hypernet.head.weight.shape, generator=generator)
    hypernet.head.weight.copy_(noise.to(std) * std[:, None])


INITS.add("xavier", xavier)
INITS.add("hyperfan", hyperfan)
