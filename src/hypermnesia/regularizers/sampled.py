"""The output regulariser over a few earlier tasks, drawn anew at every iteration.

The estimate is the plain mean over `subset` of the T - 1 earlier tasks, drawn without
replacement. Each task is drawn equally often, so its expectation is the mean over all of them,
R of `reference`. (Against the *sum* over earlier tasks, as the slides of von Oswald et al. 2020
print it, the same estimate is the subset's sum scaled by (T - 1) / subset.)
"""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

from hypermnesia.hypernet.network import Hypernetwork
from hypermnesia.regularizers.base import (
    REGULARIZERS,
    Parameters,
    Point,
    RegularizerSettings,
    Snapshot,
)
from hypermnesia.regularizers.closed_form import ClosedFormRegularizer
from hypermnesia.seeding import Generators


class SampledRegularizer:
    """An unbiased estimate of R, in closed form over the tasks drawn.

    Args:
        hypernet: the network that is trained.
        snapshot: what earlier tasks must keep.
        settings: `subset` tasks are drawn; all are taken if there are no more, or it is None.
        generators: the stream `subset` is used, and only where there is something to draw.
    """

    def __init__(
        self,
        hypernet: Hypernetwork,
        snapshot: Snapshot,
        settings: RegularizerSettings,
        generators: Generators,
    ) -> None:
        self.closed = ClosedFormRegularizer(hypernet, snapshot)
        self.tasks, self.size = len(snapshot.plans), settings.subset
        self.generators = generators

    def __call__(self, point: Point, gradients: Parameters, beta: float) -> Tensor:
        """An estimate of R, a scalar, at `point`; β times its gradient is added to `gradients`."""
        return self.closed(point, gradients, beta, self._draw())

    def _draw(self) -> Int[Tensor, " chosen"] | None:
        if self.size is None or self.size >= self.tasks:
            return None
        drawn = torch.randperm(self.tasks, generator=self.generators["subset"])
        return drawn[: self.size]


REGULARIZERS.add("sampled", SampledRegularizer)
