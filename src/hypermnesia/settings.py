"""Types for the fields of settings: numbers with bounds, names, and names in a registry.

A setting is a field of a frozen dataclass, annotated with one of these. Configuration files,
`--set` and stored files are checked against the annotations, and `__post_init__` checks what
fields must hold together.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool

__all__ = [
    "ELSEWHERE",
    "Count",
    "Flag",
    "Fraction",
    "Integer",
    "Name",
    "NonNegative",
    "Number",
    "Positive",
    "Samples",
    "Seed",
    "Strength",
    "Width",
    "named_in",
]


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


Flag = StrictBool
Number = Annotated[float, Field(strict=True), BeforeValidator(_number)]
Integer = Annotated[int, Field(strict=True), BeforeValidator(_integer)]
Positive = Annotated[Number, Field(gt=0, le=1e9)]
NonNegative = Annotated[Number, Field(ge=0, le=1e9)]
Strength = Annotated[Number, Field(ge=0, le=1e18)]  # published strengths of EWC reach 1e10
Fraction = Annotated[Number, Field(ge=0, lt=1)]
Width = Annotated[Integer, Field(ge=1, le=10_000_000)]
Count = Annotated[Integer, Field(ge=0, le=10_000_000)]
Samples = Annotated[Integer, Field(ge=1, le=10**9)]
Seed = Annotated[Integer, Field(ge=0, le=2**63 - 1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]

ELSEWHERE = "a setting of another section"
"""Marks, in `Annotated`, a field that configuration files set in another section."""


def named_in(registry: Any) -> AfterValidator:
    """The annotation of a name that must be in a registry; raises its `ConfigError`."""

    def check(name: str) -> str:
        registry[name]
        return name

    return AfterValidator(check)

