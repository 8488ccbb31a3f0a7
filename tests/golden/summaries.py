"""Tensors as a few exact numbers and a checksum."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


def in_order(tensors: Iterable[Tensor]) -> dict[str, Any]:
    """Of tensors whose order means something: the networks' and what they answer."""
    given = [tensor.detach().contiguous() for tensor in tensors]
    return {
        "sha256": _checksum(given),
        "tensors": [_moments(tensor) for tensor in given],
    }


def in_any_order(tensors: Iterable[Tensor]) -> dict[str, Any]:
    """Of all real numbers in `tensors`, sorted: however they are named, grouped and shaped."""
    flat = [t.detach().flatten().float() for t in tensors if t.is_floating_point()]
    values = torch.cat(flat).sort().values
    return {
        "sha256": _checksum([values]),
        "all": _moments(values),
        "deciles": [float(v) for v in values[torch.linspace(0, len(values) - 1, 11).long()]],
    }


def _checksum(tensors: Sequence[Tensor]) -> str:
    found = hashlib.sha256()
    for tensor in tensors:
        plain = tensor.numpy() + 0 if tensor.is_floating_point() else tensor.numpy()  # -0 is 0
        found.update(np.ascontiguousarray(plain).tobytes())
    return found.hexdigest()


def _moments(tensor: Tensor) -> list[float]:
    """Number of entries, mean and mean square: exact sums, whatever adds them."""
    values = tensor.double().flatten().tolist()
    n = len(values)
    return [n, math.fsum(values) / n, math.fsum(v * v for v in values) / n]
