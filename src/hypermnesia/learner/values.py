"""Targets that are values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hypermnesia.errors import DataError


class Values:
    """Real values, learned as deviations from a task's mean in units of its spread.

    So that losses, and the strength of the regulariser against them, are comparable between tasks.

    Args:
        mean: of each target.
        spread: their standard deviations, 1 where there is none.
        single: the user gives and gets (n,) values, not (n, 1).
    """

    def __init__(self, mean: Sequence[float], spread: Sequence[float], *, single: bool) -> None:
        self.mean, self.spread = torch.tensor(mean), torch.tensor(spread)
        self.single = single

    @classmethod
    def of(cls, given: Any) -> Values:
        """Those of a task's samples.

        Raises:
            DataError: targets that are no finite numbers.
        """
        values = _numbers(given)
        single, values = values.ndim == 1, values.reshape(len(values), -1)
        spread = values.std(dim=0, correction=0)
        spread[spread == 0] = 1.0
        return cls(values.mean(dim=0).tolist(), spread.tolist(), single=single)

    @property
    def outputs(self) -> int:
        """Number of values a sample."""
        return len(self.mean)

    def encode(self, given: Any) -> Tensor:
        """(n, outputs) deviations.

        Raises:
            DataError: targets of another shape, or that are no finite numbers.
        """
        values = _numbers(given)
        wanted = 1 if self.single else 2
        if values.ndim != wanted or values.reshape(len(values), -1).shape[1] != self.outputs:
            raise DataError(
                "a task keeps the number of values that it was first fitted with",
                got=f"targets of shape {tuple(values.shape)}",
                cure=f"give {self.outputs} a sample",
            )
        return (values.reshape(len(values), -1) - self.mean) / self.spread

    def answer(self, scores: Tensor) -> NDArray[Any]:
        """(n,) or (n, outputs) values."""
        values: NDArray[Any] = (scores * self.spread + self.mean).numpy()
        return values[:, 0] if self.single else values

    def finish(self, network: nn.Module) -> nn.Module:
        """The network and, behind it, `Rescale`."""
        return nn.Sequential(network, Rescale(self.mean, self.spread)).eval()

    def stored(self) -> dict[str, Any]:
        """Means and spreads."""
        moments = {"mean": self.mean.tolist(), "spread": self.spread.tolist()}
        return {**moments, "single": self.single}


class Rescale(nn.Module):
    """(batch, outputs) deviations to values.

    Args:
        mean: (outputs,) added.
        spread: (outputs,) multiplied by before.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("spread", spread.clone())

    def forward(self, deviations: Tensor) -> Tensor:
        """(batch, outputs) values."""
        return deviations * self.spread + self.mean


def _numbers(given: Any) -> Tensor:
    try:
        values = torch.as_tensor(np.asarray(given, dtype=np.float64)).float()
    except (TypeError, ValueError) as error:
        raise DataError(
            "regression needs numbers", got=str(error), cure="or problem='classification'"
        ) from None
    if values.ndim not in (1, 2) or not torch.isfinite(values).all():
        raise DataError(
            "regression needs finite targets of shape (n,) or (n, k)",
            got=f"shape {tuple(values.shape)}" if values.ndim not in (1, 2) else "NaN or infinity",
            cure="reshape them, and drop samples without a target",
        )
    return values
