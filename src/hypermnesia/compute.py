"""Where and how a computation runs: device, number format, determinism, time and memory."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from threading import RLock
from typing import Any, Literal

import torch

from hypermnesia.errors import ConfigError

Precision = Literal["float32", "bf16"]
"""Number format of a network's products: float32, or its range with 8 bits of precision.

All else stays in float32 (mixed precision, Micikevicius et al. 2018, arXiv 1710.03740).
"""

Screen = Literal["bf16"]
"""Formats of a first answer, which float32 settles where it is in doubt."""


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which matrix products and convolutions run in `precision`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def widened(values: torch.Tensor) -> torch.Tensor:
    """`values` (any shape) in float32, or as they are if that is wider."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def device_of(given: torch.device | str | None) -> torch.device:
    """The given device, or a GPU if there is one, else the CPU; raises `ConfigError` for none."""
    if given is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(given)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:
        rule, hint = "the device must be one that torch finds here", "leave it out, or give 'cpu'"
        got = f"'{given}' ({str(error).splitlines()[0]:.60})"
        raise ConfigError(rule, got=got, hint=hint) from None
    return device


def undisturbed(device: torch.device) -> AbstractContextManager[object]:
    """A context in which no autocast, inference mode or default device of a caller's is in force.

    All three belong to a thread, so that others notice nothing.
    """
    found: list[AbstractContextManager[object]] = []
    for kind in {"cpu", device.type}:
        if torch.is_autocast_enabled(kind):
            found.append(torch.autocast(kind, enabled=False))
    if torch.is_inference_mode_enabled():
        found.append(torch.inference_mode(False))
    if torch.empty(0).device.type != "cpu":  # faster than to ask for the default
        found.append(torch.device("cpu"))
    return _all_of(found) if found else nullcontext()


@contextmanager
def _all_of(contexts: Iterable[AbstractContextManager[object]]) -> Iterator[None]:
    with ExitStack() as stack:
        for each in contexts:
            stack.enter_context(each)
        yield


class Lock:
    """Lets one thread in at a time, and that one again; copied or unpickled, it is a new lock."""

    def __init__(self) -> None:
        self._lock = RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[Any, ...]:
        return Lock, ()


@contextmanager
def deterministic_kernels(wanted: bool) -> Iterator[None]:
    """Within it torch uses deterministic kernels alone, if they are `wanted`.

    cuBLAS needs a workspace of fixed size besides; one that the user has chosen stays. Operations
    without such a kernel raise `RuntimeError`.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h


def keep_freed_memory() -> None:
    """Let this process keep the memory of freed tensors for the next ones (glibc only).

    By default glibc returns large blocks, and every iteration pays for their page faults again.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def release_freed_memory() -> None:
    """Give the system back what earlier work of this process left behind (glibc only)."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def reset_peak_memory(device: torch.device) -> None:
    """Start measuring afresh, where the system allows it.

    On Linux, 5 written to /proc/self/clear_refs sets the peak to what is resident now (proc(5));
    elsewhere the peak counts from the start of the process. Freed memory is not counted.
    """
    release_freed_memory()
    with suppress(OSError):
        _CLEAR_REFS.write_text("5")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory_mb(device: torch.device) -> float:
    """Largest resident memory since the reset, and of tensors on CUDA, in MB of 10^6 bytes."""
    try:
        lines = _STATUS.read_text().splitlines()
        peak = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    on_device = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    return (peak + on_device) / 1e6


class Stopwatch:
    """Wall seconds that add up over pauses and over resumed processes.

    The clock is monotonic: setting the computer's time changes nothing.

    Args:
        device: what it times; stopping waits for work still queued there.
        seconds: what was counted before, by a process that is gone.
    """

    def __init__(self, device: torch.device, seconds: float = 0.0) -> None:
        self._device, self._counted = device, seconds
        self._since: float | None = None

    @property
    def seconds(self) -> float:
        """Counted so far, running or not."""
        return self._counted + (0.0 if self._since is None else time.monotonic() - self._since)

    def start(self) -> None:
        """Begin or go on counting; one that runs is left running."""
        if self._since is None:
            self._since = time.monotonic()

    def stop(self) -> None:
        """Pause; what was counted is kept."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self._counted, self._since = self.seconds, None
