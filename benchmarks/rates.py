"""What the memory of this machine reaches; products are in `hypermnesia.experiments.doctor`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hypermnesia.experiments.doctor import seconds_of

_CPU = torch.device("cpu")
BEYOND_CACHE = 1 << 26  # entries of an array: 256 MB in float32


def copy_rate(entries: int = BEYOND_CACHE, repeats: int = 5, device: torch.device = _CPU) -> float:
    """Bytes a second of a copy, read and written."""
    a, b = torch.rand(entries, device=device), torch.empty(entries, device=device)
    return 2 * a.nbytes / seconds_of(_finished(lambda: b.copy_(a), device), repeats)


def triad_rate(entries: int = BEYOND_CACHE, repeats: int = 5, device: torch.device = _CPU) -> float:
    """Bytes a second of a = b + 2 c."""
    a, b, c = (torch.rand(entries, device=device) for _ in range(3))
    triad = _finished(lambda: torch.add(b, c, alpha=2, out=a), device)
    return 3 * a.nbytes / seconds_of(triad, repeats)


def _finished(action: Callable[[], object], device: torch.device) -> Callable[[], None]:
    """The action, which ends when the device has done it."""

    def both() -> None:
        action()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return both
