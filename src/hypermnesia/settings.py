"""Types for the fields of settings: numbers with bounds, names, and names in a registry.

A setting is a field of a frozen dataclass, annotated with one of these. Configuration files,
`--set` and stored files are checked against the annotations, and `__post_init__` checks what
fields must hold together.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Annotated, Any, cast, get_args, get_type_hints

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, StrictBool
from pydantic_core import CoreSchema, core_schema

from hypermnesia.errors import ConfigError

__all__ = [
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
    "SetAs",
    "Strength",
    "Width",
    "fields_of",
    "named_in",
    "sections_in",
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


@dataclass(frozen=True)
class SetAs:
    """Marks, in `Annotated`, a field that configuration files set in another section.

    Attributes:
        path: its `section.field` there.
    """

    path: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def refuse(value: object) -> object:
            raise ConfigError(f"it is set as {self.path}", got=value)

        return core_schema.no_info_before_validator_function(refuse, handler(source))


def named_in(registry: Any) -> AfterValidator:
    """The annotation of a name that must be in a registry; raises its `ConfigError`."""

    def check(name: str) -> str:
        registry[name]
        return name

    return AfterValidator(check)


@lru_cache(maxsize=1024)
def fields_of(kind: type) -> dict[str, Any]:
    """The annotations of the fields of a settings dataclass that configuration files set."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        field.name: hints[field.name]
        for field in fields(kind)
        if not any(isinstance(note, SetAs) for note in get_args(hints[field.name]))
    }


@lru_cache(maxsize=1024)
def sections_in(kind: type) -> dict[str, type]:
    """The fields of a settings dataclass that are settings dataclasses themselves."""
    return {name: cast(type, each) for name, each in fields_of(kind).items() if is_dataclass(each)}
