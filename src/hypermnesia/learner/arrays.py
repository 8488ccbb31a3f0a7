"""Data in memory, as inputs by row and targets beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermnesia.errors import DataError
from hypermnesia.learner.inputs import as_input, as_tensor, finite


class Arrays:
    """Inputs in memory, and their targets.

    Args:
        x: (n, *sample) array, tensor or nested sequence.
        y: n targets; None where nobody asks for them.

    Raises:
        DataError: they are no numbers, or not of the same length.
    """

    def __init__(self, x: Any, y: Any = None) -> None:
        given = as_tensor(x)
        self._x = given if given.dtype == torch.uint8 else as_input(given)
        self._y = _listable(y)
        if self._x.ndim == 0:
            raise DataError(
                "inputs must be of shape (n, ...)",
                got="a single number",
                cure="give a row a sample",
            )
        if y is not None and _length(self._y) != len(self._x):
            got = f"{tuple(self._x.shape)} inputs, {_length(self._y)} targets"
            raise DataError("there must be a target for each input", got=got, cure="give as many")
        if 0 in self._x.shape[1:]:
            raise DataError("a sample must hold numbers", got=f"shape {tuple(self._x.shape)}")
        finite(self._x)

    def __len__(self) -> int:
        return len(self._x)

    def read(self, rows: Tensor) -> Tensor:
        """(len(rows), *sample) inputs."""
        return as_input(self._x.index_select(0, rows))

    def targets(self) -> Any:
        """As they were given.

        Raises:
            DataError: there are none.
        """
        if self._y is None:
            raise DataError("targets are needed", got="inputs only", cure="give (x, y)")
        return self._y


def _listable(y: Any) -> Any:
    if isinstance(y, Tensor):
        y = y.detach().cpu()
    return np.asarray(y) if hasattr(y, "__array__") else y


def _length(y: Any) -> int:
    try:
        return len(y)
    except TypeError:
        raise DataError(
            "targets must be a sequence", got=f"a single {type(y).__name__}", cure="give [y]"
        ) from None
