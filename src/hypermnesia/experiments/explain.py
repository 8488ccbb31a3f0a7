"""What a method does, in its own words, and the settings that a benchmark's recipe gives it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from hypermnesia.experiments.config import ExperimentConfig, fields_read
from hypermnesia.experiments.resolve import Request, load_recipe, resolve
from hypermnesia.methods import METHODS, MethodEntry

_EMPTY: tuple[object, ...] = (None, {}, [])
_NAMES = ("format", "benchmark", "method", "scenario")


@dataclass(frozen=True)
class Explanation:
    """A method for readers.

    Attributes:
        title: name and what it is, one line.
        parts: (heading, text of one or more lines).
    """

    title: str
    parts: Sequence[tuple[str, str]]


def explain(method: str, benchmark: str, recipe: str | None = None) -> Explanation:
    """The method called `method`, and its settings on `benchmark`.

    Args:
        method: its name.
        benchmark: name of the benchmark.
        recipe: name of the recipe; None for the benchmark's default.

    Raises:
        ConfigError: a name that is not known.
    """
    entry = METHODS[method]
    chosen = load_recipe(benchmark, recipe)
    parts = [
        ("Equations", entry.equation),
        ("What it does", _described(entry)),
        ("Needs", entry.needs),
        ("Answers in", _answers(entry)),
        ("Source", entry.source),
        *_settings(entry, Request(benchmark, (method,), recipe=recipe), chosen.name),
        (f"Source of recipe {chosen.name}", chosen.source),
    ]
    said = [(heading, text) for heading, text in parts if text]
    return Explanation(f"{method}: {entry.summary}", said)


def _described(entry: MethodEntry) -> str:
    """The docstrings of its class or function, before the arguments, and of its module."""
    own = (inspect.getdoc(entry.documented) or "").partition("\nArgs:")[0]
    module = inspect.getdoc(inspect.getmodule(entry.documented)) or ""
    return f"{own.strip()}\n\n{module.strip()}"


def _answers(entry: MethodEntry) -> str:
    how = "one training for all of them" if entry.trained == "once" else "a training for each"
    if len(entry.scenarios) == 1:
        return f"the {entry.scenarios[0]} scenario"
    return f"{', '.join(entry.scenarios)}: {how}"


def _settings(entry: MethodEntry, request: Request, recipe: str) -> Iterator[tuple[str, str]]:
    """The sections that the method reads, as YAML, and what differs of them by scenario."""
    first, *others = entry.scenarios
    (config,) = resolve(replace(request, scenario=first))
    heading = f"Settings on {request.benchmark}, recipe {recipe}"
    yield heading, _as_lines(settings_read(config))
    yield "Settings that are not set", ", ".join(_not_set(fields_read(config)))
    for scenario in others:
        (other,) = resolve(replace(request, scenario=scenario))
        different = _different(fields_read(config), fields_read(other))
        if different:
            yield f"Where the {scenario} scenario differs", _as_lines(different)


def _different(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, str]:
    """The fields of `other` that `first` has otherwise, each section in a line of YAML."""
    found = _changed(first, {name: each for name, each in other.items() if name not in _NAMES})
    return {name: _yaml(fields) for name, fields in found.items()}


def _changed(first: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in other.items():
        before = first.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            value = _changed(before, value) if value != before else {}
            found |= {name: value} if value else {}
        elif value != before:
            found[name] = value
    return found


def _as_lines(sections: Mapping[str, str]) -> str:
    return "\n".join(f"{name}: {fields}" for name, fields in sections.items())


def settings_read(config: ExperimentConfig) -> dict[str, str]:
    """The sections that the method of `config` reads, each in a line of YAML."""
    read = {name: value for name, value in fields_read(config).items() if name not in _NAMES}
    return {name: _yaml(_set(fields)) for name, fields in read.items()}


def _not_set(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The fields that are empty, as `--set` names them."""
    for name, value in values.items():
        if value in _EMPTY:
            yield path + name
        elif isinstance(value, dict):
            yield from _not_set(value, f"{path}{name}.")


def _set(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What is set of a section."""
    return {
        name: _set(value) if isinstance(value, dict) else value
        for name, value in fields.items()
        if value not in _EMPTY
    }


def _yaml(fields: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(dict(fields), default_flow_style=True, sort_keys=False, width=10**6)
    return text.strip()
