"""Where inputs lie."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from hypermnesia.errors import DataError


class Moments:
    """Shape, range, means and deviations of (batch, *sample) inputs.

    Attributes:
        shape: of a sample.
        least: the smallest entry of all.
        most: the largest.
        mean: (entries of a sample,) means.
        deviation: (entries of a sample,) standard deviations; where there is none, the mean of
            the others, or 1.

    Raises:
        DataError: inputs that are no floats, or not all of one shape.
    """

    def __init__(self, batches: Iterable[Tensor]) -> None:
        count, extremes = 0, []
        for x in batches:
            _check_floats(x)
            if not count:
                self.shape = tuple(x.shape[1:])
                total = squares = torch.zeros(x[0].numel(), dtype=torch.float64)
            flat = x.flatten(1).double()
            if flat.shape[1] != len(total):
                raise DataError("likelihoods compare inputs of one shape", got=tuple(x.shape[1:]))
            total, squares = total + flat.sum(dim=0), squares + flat.square().sum(dim=0)
            extremes += [float(x.min()), float(x.max())]
            count += len(x)
        self.least, self.most = min(extremes), max(extremes)
        self.mean = (total / count).float()
        deviation = (squares / count - (total / count).square()).clamp(min=0).sqrt().float()
        usual = deviation[deviation > 0].mean() if bool(deviation.any()) else torch.tensor(1.0)
        self.deviation = deviation.where(deviation > 0, usual)

    @property
    def intensities(self) -> bool:
        """Whether all are in [0, 1]."""
        return self.least >= 0 and self.most <= 1


def _check_floats(x: Tensor) -> None:
    if not x.is_floating_point():
        raise DataError(
            "likelihoods are of inputs that are real numbers",
            got=f"ids ({str(x.dtype).removeprefix('torch.')})",
            cure="use infer_task='entropy', or convert measurements to floats",
        )
