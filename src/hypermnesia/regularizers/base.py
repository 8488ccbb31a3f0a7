"""The seam between a method and the ways to compute the output regulariser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from hypermnesia.hypernet.chunks import ChunkPlan
from hypermnesia.hypernet.network import Hypernetwork
from hypermnesia.registry import Registry

Parameters = dict[str, Tensor]
"""Tensors by the names of a hypernetwork's parameters."""


@dataclass(frozen=True)
class RegularizerSettings:
    """How earlier tasks are protected.

    Attributes:
        beta: β, weight of the regulariser against the task's loss; 0 switches it off.
        kind: a name in `REGULARIZERS`.
        lookahead: a name in `hypermnesia.lookahead.LOOKAHEADS`.
    """

    beta: float = 0.01
    kind: str = "direct"
    lookahead: str = "optimizer"


@dataclass(frozen=True)
class Snapshot:
    """What earlier tasks must keep: made when a task begins, constant while it is learned.

    Attributes:
        parameters: θ*, the hypernetwork's parameters at that moment.
        conditions: (tasks, E) frozen embeddings of the earlier tasks.
        plans: chunk plan of each earlier task.
    """

    parameters: Parameters
    conditions: Float[Tensor, "tasks E"]
    plans: Sequence[ChunkPlan]


OutputRegularizer = Callable[[Parameters], tuple[Tensor, Parameters]]
"""The point θ + Δθ -> R there (a detached scalar) and ∇R, by parameter name."""

REGULARIZERS: Registry[Callable[[Hypernetwork, Snapshot], OutputRegularizer]] = Registry(
    "regularizer"
)
