"""Chunk plans: how the flat weight vector of a target network is cut into the head's outputs.

A hypernetwork's head has D outputs. Evaluated once for each of C chunk embeddings it gives C
rows of D entries; a plan says how many entries at the front of each row are weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from hypermnesia.errors import ConfigError

PlanName = Literal["full", "even", "layer"]
"""One chunk of everything, chunks of a size, or a chunk a layer."""


@dataclass(frozen=True)
class ChunkPlan:
    """How many entries of each chunk are weights.

    Attributes:
        used: n_j, number of weights that chunk j makes, in the order of the flat weight vector.
        width: D, number of entries that the head makes for every chunk; at least max(used).
    """

    used: tuple[int, ...]
    width: int

    @property
    def count(self) -> int:
        """C, the number of chunks."""
        return len(self.used)

    @property
    def total(self) -> int:
        """N, the number of weights of the target network."""
        return sum(self.used)

    def join(self, chunks: Float[Tensor, "tasks C D"]) -> Float[Tensor, "tasks N"]:
        """The flat weights from all chunks of each task; D may exceed the plan's width."""
        if all(n == chunks.shape[-1] for n in self.used[:-1]):
            return chunks.flatten(1)[:, : self.total]
        return torch.cat([chunks[:, j, :n] for j, n in enumerate(self.used)], dim=1)


def make_plan(name: PlanName, layers: Sequence[int], width: int | None = None) -> ChunkPlan:
    """The plan for a target network.

    Args:
        name: `full` (one chunk makes all), `even` (chunks of `width` entries, which may run
            across layers, and a shorter last one) or `layer` (a chunk for each layer, as wide
            as the widest; von Oswald et al. 2020, section 2, "chunk embedding" of a layer).
        layers: number of weights of each layer.
        width: D of an even plan.

    Raises:
        ConfigError: an even plan without a width of at least 1.

    Example:
        >>> from hypermnesia.hypernet.chunks import make_plan
        >>> make_plan("even", layers=(6, 4), width=4)
        ChunkPlan(used=(4, 4, 2), width=4)
        >>> make_plan("layer", layers=(6, 4))
        ChunkPlan(used=(6, 4), width=6)
    """
    total = sum(layers)
    if name == "full":
        return ChunkPlan((total,), total)
    if name == "layer":
        return ChunkPlan(tuple(layers), max(layers))
    if width is None or width < 1:
        raise ConfigError(
            "an even chunk plan needs the number of entries of a chunk",
            got=width,
            cure="set hypernet.chunk to a positive number",
        )
    whole, rest = divmod(total, width)
    return ChunkPlan((width,) * whole + ((rest,) if rest else ()), width)
