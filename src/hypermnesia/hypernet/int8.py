"""Matrix products in int8: the rows of both factors are rounded, each in steps of its own.

With x ≈ a (q + o) and W ≈ b p, row by row, x Wᵀ ≈ a bᵀ (q pᵀ + o Σ p), where q pᵀ is a product of
integers. Zero stays zero. A row of inputs without negative values has the offset o = 128 and so all
255 steps above zero (an image of 8 bits hardly changes); others and weights have 127 on each side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from hypermnesia.errors import ConfigError

INPUTS = range(2, 2**31 // 2**14 + 1)
"""Lengths of rows to multiply: of one, torch 2.13 makes wrong products; more may overflow int32."""


@dataclass(frozen=True)
class Int8Inputs:
    """Inputs as steps · (values + offsets).

    Attributes:
        values: int8.
        steps: of each row.
        offsets: 128 or 0, of each row or of all.
    """

    values: Int[Tensor, "rows n"]
    steps: Float[Tensor, "rows 1"]
    offsets: Float[Tensor, "#rows 1"]

    def numbers(self) -> Float[Tensor, "rows n"]:
        """The inputs that these stand for."""
        return self.steps * (self.values + self.offsets)


@dataclass(frozen=True)
class Int8Weights:
    """The weights of a linear layer, a column for each output, as steps · values.

    Attributes:
        values: int8.
        steps: of each output.
        sums: of each output's weights.
    """

    values: Int[Tensor, "n outputs"]
    steps: Float[Tensor, " outputs"]
    sums: Float[Tensor, " outputs"]

    def numbers(self) -> Float[Tensor, "outputs n"]:
        """The weights that these stand for."""
        return (self.values * self.steps).T


def rounded_inputs(x: Float[Tensor, "rows n"]) -> Int8Inputs:
    """Each row to the nearest of its steps; the last one is its largest number."""
    low, high = x.amin(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)
    signed = low < 0
    steps = _not_zero(torch.where(signed, torch.maximum(high, -low) / 127, high / 255))
    if not bool(signed.any()):
        signed = signed[:1]  # the same for all
    offsets = torch.where(signed, 0.0, 128.0).to(x.dtype)
    return Int8Inputs((x / steps).round_().sub_(offsets).to(torch.int8), steps, offsets)


def rounded_weights(weights: Float[Tensor, "outputs n"]) -> Int8Weights:
    """A layer's weights, to be multiplied with many inputs."""
    steps = _not_zero(weights.abs().amax(dim=1) / 127)
    values = (weights.T / steps).round_()
    return Int8Weights(values.to(torch.int8).contiguous(), steps, steps * values.sum(dim=0))


def _not_zero(steps: Tensor) -> Tensor:
    return steps.clamp_(min=torch.finfo(steps.dtype).tiny)


def linear_by_definition(
    x: Int8Inputs, weights: Int8Weights, bias: Float[Tensor, " outputs"] | None
) -> Float[Tensor, "rows outputs"]:
    """The product x Wᵀ + bias of the numbers that are meant."""
    return F.linear(x.numbers(), weights.numbers(), bias)


def linear(
    x: Int8Inputs, weights: Int8Weights, bias: Float[Tensor, " outputs"] | None
) -> Float[Tensor, "rows outputs"]:
    """The same from a product of integers; the rest is in the format of the steps."""
    scores = _products(x.values, weights.values).to(x.steps.dtype)
    # In place: fresh memory costs as much as the arithmetic.
    torch.addcmul(x.offsets * weights.sums, scores, weights.steps, out=scores).mul_(x.steps)
    return scores if bias is None else scores.add_(bias)


def _products(left: Int[Tensor, "rows n"], right: Int[Tensor, "n outputs"]) -> Tensor:
    """(rows, outputs) int32, exact where `check_int8` passes.

    `torch._int_mm` is private by its name, but what torchao's int8 layers are made of; torch has
    no other int8 product for plain tensors.
    """
    return torch._int_mm(left, right)


def check_int8(device: torch.device) -> None:
    """Raise `ConfigError` unless `device` makes int8 products, and makes them right."""
    if device.type != "cpu":
        got, cure = f"device {device}", "use bf16 instead, or --device cpu"
    elif not _exact():
        got, cure = "one without (AVX512-VNNI is needed)", "use bf16 instead, or none"
    else:
        return
    raise ConfigError(
        "inference.screen=int8 needs a processor with exact int8 products", got=got, cure=cure
    )


@cache
def _exact() -> bool:
    """Without VNNI instructions, oneDNN adds pairs of products in 16 bits, which overflow."""
    largest = torch.full((64, 64), 127, dtype=torch.int8)
    return bool((_products(largest, largest) == 64 * 127**2).all())
