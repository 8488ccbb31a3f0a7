"""The number format of a network's products.

`bf16` has the range of float32 and 8 bits of precision. Parameters, optimisers and regulariser
stay in float32 (mixed precision, Micikevicius et al. 2018, arXiv 1710.03740; bf16 needs no loss
scaling).
"""

from __future__ import annotations

from typing import Literal

import torch

Precision = Literal["float32", "bf16"]
"""Number format of a network's products."""

Screen = Literal["bf16", "int8"]
"""Formats of a first answer, which float32 settles where it is in doubt."""


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """A context in which matrix products and convolutions run in `precision`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
