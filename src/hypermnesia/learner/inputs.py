"""Inputs as a network is shown them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermnesia.errors import DataError

_ROUND = (torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32)


def as_input(x: Tensor) -> Tensor:
    """What a network is shown, (n, ...): bytes in [0, 1], ids as int64, all else as floats.

    Raises:
        DataError: complex numbers.
    """
    if x.is_complex():
        raise DataError("inputs must be real", got=str(x.dtype), cure="split them into two parts")
    if x.dtype == torch.uint8:
        return x.to(torch.get_default_dtype()) / 255
    if x.dtype in (*_ROUND, torch.int64):
        return x.to(torch.int64)
    return x.to(torch.get_default_dtype())


def as_tensor(x: Any) -> Tensor:
    """(n, ...) numbers of whatever kind, on the CPU.

    Raises:
        DataError: they are no numbers, or no table of them.
    """
    if isinstance(x, Tensor):
        return x.detach().cpu()
    try:
        array = np.asarray(x)
    except (TypeError, ValueError):
        raise _no_numbers(f"a {type(x).__name__} of parts of different shapes") from None
    widest = 16 if array.dtype.kind == "c" else 8
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > widest:
        raise _no_numbers(f"a {type(x).__name__} of {array.dtype.name}")
    # Bytes in the machine's order, rows one after another, as torch wants them.
    return torch.as_tensor(np.asarray(array, array.dtype.newbyteorder("="), order="C"))


def finite(x: Tensor) -> Tensor:
    """The inputs `x`, (n, ...), of which every number is one.

    Raises:
        DataError: some are NaN or infinite.
    """
    if x.is_floating_point() and not torch.isfinite(x).all():
        raise DataError(
            "inputs must be finite", got="NaN or infinity", cure="drop or fill in such samples"
        )
    return x


def _no_numbers(got: str) -> DataError:
    return DataError(
        "inputs must be numbers",
        got=got,
        cure="give an array or tensor of them, a tuple (x, y), a Dataset or a DataLoader",
    )
