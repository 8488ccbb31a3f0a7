"""Types for the fields of settings, and the plain YAML that their files are written in.

A setting is a field of a frozen dataclass, annotated with one of these types. Configuration files,
`--set` and stored files are checked against the annotations, and `__post_init__` checks what
fields must hold together.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from functools import lru_cache
from typing import Annotated, Any, cast, get_args, get_type_hints

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, StrictBool
from pydantic_core import CoreSchema, core_schema

from hypermnesia.errors import ConfigError


def _number(value: object) -> object:
    """A text such as `1e-3`, which YAML 1.1 does not read as a number, as the number it is."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
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
Share = Annotated[Number, Field(gt=0, le=1)]
Fraction = Annotated[Number, Field(ge=0, lt=1)]
Width = Annotated[Integer, Field(ge=1, le=10_000_000)]
Count = Annotated[Integer, Field(ge=0, le=10_000_000)]
Samples = Annotated[Integer, Field(ge=1, le=10**9)]
Seed = Annotated[Integer, Field(ge=0, le=2**63 - 1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


@dataclass(frozen=True)
class SetAs:
    """Marks, in `Annotated`, a field that configuration files set as another `section.field`."""

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


_DEEPEST = 20  # values within values
_LONGEST = 20_000  # characters of a scalar; 1:59:59:... is a number to YAML 1.1, and a large one
# libyaml's, ten times as fast, where PyYAML was built with it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


def load_plain(text: str, *, anchors: bool = False) -> Any:
    """The value that a YAML `text` describes: dicts, lists, texts, numbers, dates and None.

    A tag could name something to be made of a value. An alias costs a few bytes and may stand for
    all that is above it, so that ten lines of them are more than a memory holds: `anchors` are for
    files of the user's own. Raises `ValueError` for these, what is deep or long, or is no YAML.
    """
    try:
        _check_plain(text, anchors)
        return _Loader(text).get_single_data()
    except (yaml.YAMLError, TypeError, OverflowError, AttributeError) as error:
        raise ValueError(str(error)) from error


def _check_plain(text: str, anchors: bool) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        anchor = isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None
        if anchor and not anchors:
            raise ValueError("an anchor, or an alias of one")
        if getattr(event, "tag", None) is not None:
            raise ValueError("a tag")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > _LONGEST:
            raise ValueError("a value that is too long")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError("values nested too deeply")


def dump_plain(value: Any) -> str:
    """`value` as YAML that `load_plain` reads."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
