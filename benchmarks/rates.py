"""What the memory of this machine reaches; products are in `hypermnesia.experiments.doctor`."""

from __future__ import annotations

import torch

from hypermnesia.experiments.doctor import seconds_of

_BEYOND_CACHE = 1 << 26  # entries of an array: 256 MB in float32


def copy_rate(entries: int = _BEYOND_CACHE, repeats: int = 5) -> float:
    """Bytes a second of a copy, read and written."""
    a, b = torch.rand(entries), torch.empty(entries)
    return 2 * a.nbytes / seconds_of(lambda: b.copy_(a), repeats)


def triad_rate(entries: int = _BEYOND_CACHE, repeats: int = 5) -> float:
    """Bytes a second of a = b + 2 c."""
    a, b, c = torch.empty(entries), torch.rand(entries), torch.rand(entries)
    return 3 * a.nbytes / seconds_of(lambda: torch.add(b, c, alpha=2, out=a), repeats)
