"""Kernels that always add in the same order, for a GPU: the setting `compute.deterministic`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def deterministic_kernels(wanted: bool) -> Iterator[None]:
    """Within it torch uses deterministic kernels alone, if they are `wanted`.

    cuBLAS needs a workspace of fixed size besides, which it asks the environment for when it is
    first used; one that the user has chosen stays.

    Raises:
        RuntimeError: (torch, in an operation) there is no such kernel of it.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    os.environ.setdefault(_WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
