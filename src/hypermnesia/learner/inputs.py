"""Inputs as a network is shown them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hypermnesia.errors import DataError

_ROUND = (torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32)


def as_input(x: Tensor) -> Tensor:
    """What a network is shown: images of bytes in [0, 1], ids as int64, all else as floats.

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
    """Numbers of whatever kind, on the CPU.

    Raises:
        DataError: they are no numbers.
    """
    try:
        tensor = x if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
    except (TypeError, ValueError) as error:
        raise DataError("inputs must be numbers", got=str(error).splitlines()[0]) from None
    return tensor.detach().cpu()
