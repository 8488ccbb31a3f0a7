"""How fast this machine multiplies matrices, by number format."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


def seconds_of(action: Callable[[], object], repeats: int, budget: float = math.inf) -> float:
    """The shortest time of `repeats`, after one that is not counted.

    Args:
        action: what is timed; it must wait for a device's work to end.
        repeats: how often, 1 or more.
        budget: seconds after which no other one begins.
    """
    begun = time.perf_counter()
    action()
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        end = time.perf_counter()
        best = min(best, end - start)
        if end - begun >= budget:
            break
    return best


def product_rate(
    m: int,
    k: int,
    n: int,
    dtype: torch.dtype,
    *,
    repeats: int = 7,
    budget: float = math.inf,
    device: torch.device | None = None,
) -> float:
    """Operations a second of (m, k) times (k, n); two for each product and sum.

    Args:
        m: rows of the first matrix.
        k: its columns.
        n: columns of the second matrix.
        dtype: a floating-point format, or `torch.int8`, whose products are summed in int32.
        repeats: how often it is timed; the shortest time counts.
        budget: seconds after which no other one begins.
        device: where; the CPU by default.

    Raises:
        RuntimeError: the device cannot do it.
    """
    device = device or torch.device("cpu")
    # Up to 100: what lies below 1 is 0 in int8.
    a = (100 * torch.rand(m, k, device=device)).to(dtype)
    b = (100 * torch.rand(k, n, device=device)).to(dtype)
    product = _product(a, b)

    def action() -> None:
        product()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return 2 * m * k * n / seconds_of(action, repeats, budget)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread of the CPU within the block: others would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _product(a: Tensor, b: Tensor) -> Callable[[], Tensor]:
    if a.dtype == torch.int8:
        return lambda: torch._int_mm(a, b)
    out = torch.empty(len(a), b.shape[1], dtype=a.dtype, device=a.device)
    return lambda: torch.mm(a, b, out=out)
