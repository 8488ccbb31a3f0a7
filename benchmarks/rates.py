"""What this machine reaches: rates of matrix products and of memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

_BEYOND_CACHE = 1 << 26  # entries of an array: 256 MB in float32


def seconds_of(action: Callable[[], object], repeats: int) -> float:
    """The shortest time of `repeats`, after one that is not counted."""
    action()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def product_rate(m: int, k: int, n: int, dtype: torch.dtype, repeats: int = 7) -> float:
    """Operations a second of (m, k) times (k, n)."""
    a, b = torch.rand(m, k).to(dtype), torch.rand(k, n).to(dtype)
    out = torch.empty(m, n, dtype=dtype)
    return 2 * m * k * n / seconds_of(lambda: torch.mm(a, b, out=out), repeats)


def copy_rate(entries: int = _BEYOND_CACHE, repeats: int = 5) -> float:
    """Bytes a second of a copy, read and written."""
    a, b = torch.rand(entries), torch.empty(entries)
    return 2 * a.nbytes / seconds_of(lambda: b.copy_(a), repeats)


def triad_rate(entries: int = _BEYOND_CACHE, repeats: int = 5) -> float:
    """Bytes a second of a = b + 2 c."""
    a, b, c = torch.empty(entries), torch.rand(entries), torch.rand(entries)
    return 3 * a.nbytes / seconds_of(lambda: torch.add(b, c, alpha=2, out=a), repeats)
