"""What pydantic found wrong, as one line: the field, the rule, the value and a cure."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator

from pydantic import BaseModel, ValidationError

from hypermnesia.errors import ConfigError
from hypermnesia.registry import unknown_name


def sections(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Fields of `model` that hold further fields, with their models."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield name, field.annotation


def field_paths(model: type[BaseModel]) -> list[str]:
    """Every field of `model` as `field` or `section.field`."""
    nested = dict(sections(model))
    return [
        path
        for name in model.model_fields
        for path in (
            [f"{name}.{leaf}" for leaf in nested[name].model_fields] if name in nested else [name]
        )
    ]


def _about(cause: ConfigError, section: str) -> ConfigError:
    """`cause`, which names fields of the section that `section` is like, in its own name."""
    like = section.removeprefix("vae_")
    if like == section:
        return cause
    rule, got, cure = (
        str(text).replace(f"{like}.", f"{section}.") for text in (cause.rule, cause.got, cause.cure)
    )
    return ConfigError(rule, got=got, cure=cure)


def as_config_error(error: ValidationError, model: type[BaseModel]) -> ConfigError:
    """The first problem in `error` as a `ConfigError`."""
    # A name that was mistyped is missing too, and that is not what to say.
    first = min(error.errors(include_url=False), key=lambda found: found["type"] == "missing")
    path = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        nested = dict(sections(model))
        top, inner = str(first["loc"][0]), len(first["loc"]) > 1
        known = [f"{top}.{f}" for f in nested[top].model_fields] if inner else model.model_fields
        return unknown_name("field", path, known)
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return _about(cause, path)
    rule = first["msg"].replace("Input should be", "must be").replace("Value error, ", "")
    if first["type"] == "missing":
        return ConfigError(f"{path} must be set", cure=f"add it: --set {path}=VALUE")
    if first["type"] == "tuple_type":
        entries = reprlib.repr(str(first["input"]).strip("()[]{} "))[1:-1]
        return ConfigError(
            f"{path} must be a list",
            got=reprlib.repr(first["input"]),
            cure=f"write {path}=[{entries}]",
        )
    return ConfigError(f"{path} {rule[0].lower()}{rule[1:]}", got=reprlib.repr(first["input"]))
