"""The C library's allocator, told that large tensors come and go at every iteration."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep the memory of freed tensors for the next ones (glibc only).

    By default glibc returns large blocks to the system, and every iteration pays for the faults
    of their pages again. Other C libraries are left alone. A command does this for its own
    process; importing Hypermnesia does not.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, _LARGEST)
