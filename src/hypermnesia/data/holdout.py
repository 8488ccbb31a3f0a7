"""Setting training samples aside for validation."""

from __future__ import annotations

import torch
from torch import Tensor

from hypermnesia.errors import ConfigError


def hold_out(
    rows: Tensor, validation: int, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Split training rows at random into rows to learn from and rows held out, both in order.

    Args:
        rows: (n,) int64 rows of a task's training samples.
        validation: number of samples to hold out; 0 for none, which gives None for them.
        generator: draws the samples.

    Raises:
        ConfigError: if no sample would be left to learn from.
    """
    if not 0 <= validation < len(rows):
        raise ConfigError(
            "validation samples must leave some to learn from",
            got=f"{validation} of the {len(rows)} training samples of a task",
            cure=f"choose from 0 to {len(rows) - 1}",
        )
    if validation == 0:
        return rows, None
    shuffled = rows[torch.randperm(len(rows), generator=generator)]
    return shuffled[validation:].sort().values, shuffled[:validation].sort().values
