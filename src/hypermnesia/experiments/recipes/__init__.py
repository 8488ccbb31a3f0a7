"""Recipes: the settings that a benchmark starts from, as YAML files with their source.

A file `<benchmark>/<recipe>.yaml` holds `source`, sections of the configuration, optionally
`base` (a recipe that it changes, `<benchmark>/<recipe>`) and `methods` (sections that differ for
a method and, under its `scenarios`, for a scenario too). `best` is ours, `paper` is as published
for this very benchmark, `derived` is what was published for a similar one; the first of them
that a benchmark has is its default.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.experiments.overrides import merged
from hypermnesia.registry import unknown_name

FOLDER = Path(__file__).parent
_DEFAULTS = ("best", "paper", "derived")


@dataclass(frozen=True)
class Recipe:
    """A recipe with its base worked in.

    Attributes:
        name: its name within the benchmark.
        source: where its values come from.
        sections: the fields for every method.
        methods: the sections that differ, by method.
    """

    name: str
    source: str
    sections: dict[str, Any]
    methods: dict[str, dict[str, Any]]

    def sections_for(self, method: str, scenario: str) -> dict[str, Any]:
        """The sections of the configuration for `method` in `scenario`."""
        own = dict(self.methods.get(method, {}))
        in_scenario = own.pop("scenarios", {}).get(scenario, {})
        return merged(merged(self.sections, own), in_scenario)


def recipe_names(benchmark: str) -> list[str]:
    """Names of the recipes of `benchmark`, the default one first."""
    names = sorted(path.stem for path in (FOLDER / benchmark).glob("*.yaml"))
    default = next((name for name in _DEFAULTS if name in names), None)
    return sorted(names, key=lambda name: name != default)


def load_recipe(benchmark: str, name: str | None = None) -> Recipe:
    """The recipe called `name` of `benchmark`; its default one for None.

    Raises:
        ConfigError: there is no such benchmark or no such recipe.
    """
    names = recipe_names(BENCHMARKS[benchmark].name)
    if name is None:
        name = names[0]
    if name not in names:
        raise unknown_name(f"recipe of {benchmark}", name, names)
    fields = _read(f"{benchmark}/{name}")
    source, methods = fields.pop("source"), fields.pop("methods", {})
    return Recipe(name, source, fields, methods)


def _read(path: str) -> dict[str, Any]:
    fields: dict[str, Any] = yaml.safe_load((FOLDER / f"{path}.yaml").read_text("utf-8"))
    base = fields.pop("base", None)
    if base is None:
        return fields
    below = _read(base)
    methods, own = below.pop("methods", {}), fields.pop("methods", {})
    both = {name: merged(methods.get(name, {}), own.get(name, {})) for name in methods | own}
    return {**merged(below, fields), "methods": both}
