"""Peak memory of this process."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def reset_peak_memory(device: torch.device) -> None:
    """Start measuring afresh, where the system allows it.

    On Linux, 5 written to /proc/self/clear_refs sets the peak to what is resident now (proc(5));
    elsewhere, or where this is forbidden, the peak counts from the start of the process.
    """
    with suppress(OSError):
        _CLEAR_REFS.write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mb(device: torch.device) -> float:
    """Largest resident memory since the reset, in MB of 10^6 bytes.

    On a CUDA device the largest memory held by tensors there is added.
    """
    peak = _resident_bytes()
    if device.type == "cuda":
        peak += torch.cuda.max_memory_allocated(device)
    return peak / 1e6


def _resident_bytes() -> int:
    try:
        lines = _STATUS.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
