"""The output regulariser over some earlier tasks, drawn anew at every iteration.

The plain mean over `subset` of the T - 1 earlier tasks, drawn without replacement; von Oswald et
al. 2020 draw 32 of Permuted MNIST's 250. Each task is drawn equally often, so its expectation is R.
(Of the *sum* over earlier tasks, the subset's sum times (T - 1) / subset is the estimate.)
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hypermnesia.hypernet.network import Hypernetwork
from hypermnesia.regularization.output import (
    ClosedFormRegularizer,
    Parameters,
    Point,
    RegularizerSettings,
    Snapshot,
)
from hypermnesia.seeding import Generators


class SampledRegularizer:
    """Estimates R without bias, in closed form over tasks drawn from the stream `subset`.

    All tasks are taken, and nothing is drawn, if there are no more than `settings.subset`.
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

    def protect(self, conditions: Float[Tensor, "tasks E"]) -> None:
        """Protect what other conditions of the same tasks made at the snapshot."""
        self.closed.protect(conditions)

    def __call__(self, point: Point, gradients: Parameters, beta: float) -> Tensor:
        """Estimate R, a scalar, at `point`; β times its gradient is added to `gradients`."""
        return self.closed(point, gradients, beta, self._draw())

    def _draw(self) -> Int[Tensor, " chosen"] | None:
        if self.size is None or self.size >= self.tasks:
            return None
        return torch.randperm(self.tasks, generator=self.generators["subset"])[: self.size]
