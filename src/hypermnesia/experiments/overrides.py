"""`section.field=value` settings from the command line, laid over a recipe."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.config_errors import field_paths
from hypermnesia.plain_yaml import load_plain
from hypermnesia.registry import unknown_name

Raw = dict[str, Any]


def settable_paths() -> list[str]:
    """The fields that `--set` reaches; the others have an option of their own."""
    paths = field_paths(ExperimentConfig)
    return [p for p in paths if "." in p and not p.startswith("recipe.")]


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Raw:
    """`below` with the fields of `above` laid over it, section by section."""
    result = dict(below)
    for name, value in above.items():
        if isinstance(value, Mapping) and isinstance(result.get(name), Mapping):
            value = {**result[name], **value}
        result[name] = value
    return result


def parsed(assignments: Sequence[str]) -> Raw:
    """Nested fields of `section.field=value` texts; values are read as YAML.

    Raises:
        ConfigError: a text that reads otherwise.
    """
    result: Raw = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(
                "a setting must read section.field=value",
                got=f"'{assignment}'",
                cure="write for example --set hypernet.chunk=10000",
            )
        section, field = _known(path.strip()).split(".")
        result.setdefault(section, {})[field] = _value(path, text)
    return result


def _known(path: str) -> str:
    paths = settable_paths()
    if path in paths:
        return path
    leaves = {p.split(".")[1]: p for p in reversed(paths)}
    near = difflib.get_close_matches(path, leaves, n=1, cutoff=0.8)
    if "." not in path and near:
        raise ConfigError(
            "the setting must be one that exists",
            got=f"'{path}'",
            cure=f"did you mean '{leaves[near[0]]}'?",
        )
    raise unknown_name("setting", path, paths)


def _value(path: str, text: str) -> object:
    try:
        return load_plain(text)
    except ValueError:
        raise ConfigError(f"the value of {path} must be YAML", got=repr(text)) from None
