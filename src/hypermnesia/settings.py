"""What the fields of a configuration can hold: bounded numbers, names, and sections of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _number(value: object) -> object:
    """A text such as `1e-3`, which YAML 1.1 does not read as a number, as the number it is."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _integer(value: object) -> object:
    """`1e4`, a text or a float to YAML, as the whole number it is."""
    number = _number(value)
    return int(number) if isinstance(number, float) and number.is_integer() else value


Number = Annotated[float, Field(strict=True), BeforeValidator(_number)]
Integer = Annotated[int, Field(strict=True), BeforeValidator(_integer)]
Positive = Annotated[Number, Field(gt=0, le=1e9)]
NonNegative = Annotated[Number, Field(ge=0, le=1e9)]
Strength = Annotated[Number, Field(ge=0, le=1e18)]  # published strengths of EWC reach 1e10
Fraction = Annotated[Number, Field(ge=0, lt=1)]
Width = Annotated[Integer, Field(ge=1, le=10_000_000)]
Seed = Annotated[Integer, Field(ge=0, le=2**63 - 1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Section(BaseModel):
    """Fields that cannot be changed, none of them unknown, no number infinite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
