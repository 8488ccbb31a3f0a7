"""The seam between a method and the ways to compute the output regulariser."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.chunks import ChunkPlan
from hypermnesia.hypernet.network import Hypernetwork
from hypermnesia.lookahead import Rows
from hypermnesia.registry import Registry
from hypermnesia.seeding import Generators

Parameters = dict[str, Tensor]
"""Tensors by the names of a hypernetwork's parameters."""


@dataclass(frozen=True)
class RegularizerSettings:
    """How earlier tasks are protected.

    Attributes:
        beta: β, weight of the regulariser against the task's loss; 0 switches it off.
        kind: a name in `REGULARIZERS`.
        lookahead: a name in `hypermnesia.lookahead.LOOKAHEADS`.
        subset: number of earlier tasks that `sampled` draws at an iteration; None is all.

    Raises:
        ConfigError: a subset of no tasks.
    """

    beta: float = 0.01
    kind: str = "closed"
    lookahead: str = "optimizer"
    subset: int | None = None

    def __post_init__(self) -> None:
        if self.subset is not None and self.subset < 1:
            raise ConfigError(
                "a subset of earlier tasks holds at least one",
                got=self.subset,
                cure="set regularizer.subset to a positive number, or to none for all tasks",
            )


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


Point = Mapping[str, Rows]
"""θ + Δθ by parameter name: tensors, or what makes their rows when asked."""

OutputRegularizer = Callable[[Point, Parameters, float], Tensor]
"""(point, gradients, β) -> R at the point, a detached scalar; β ∇R is added to the gradients."""

RegularizerFactory = Callable[
    [Hypernetwork, Snapshot, RegularizerSettings, Generators], OutputRegularizer
]
"""(hypernetwork, snapshot, settings, generators) -> regulariser of one task's training."""

REGULARIZERS: Registry[RegularizerFactory] = Registry("regularizer")
"""Every way to compute the output regulariser, by name."""


def without_options(
    kind: Callable[[Hypernetwork, Snapshot], OutputRegularizer],
) -> RegularizerFactory:
    """The factory of a kind that has no settings of its own and draws nothing."""
    return lambda hypernet, snapshot, _settings, _generators: kind(hypernet, snapshot)
