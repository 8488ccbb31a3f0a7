"""From what a user asks for to resolved configurations: recipe, then method, then overrides.

Recipes: the settings that a benchmark starts from, as YAML files with their source.

A file `<benchmark>/<recipe>.yaml` holds `source`, sections of the configuration, optionally
`base` (a recipe that it changes, `<benchmark>/<recipe>`) and `methods` (sections that differ for
a method and, under its `scenarios`, for a scenario too). `best` is ours, `paper` is as published
for this very benchmark, `derived` is what was published for a similar one; the first of them
that a benchmark has is its default.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.data.scenarios import scenario_name
from hypermnesia.data.stream import AUGMENTATIONS
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.build import benchmark_settings, device_of, optimizer_settings
from hypermnesia.experiments.config import ExperimentConfig, validated
from hypermnesia.experiments.config_errors import field_paths
from hypermnesia.experiments.identity import first_difference, refuse_unused, run_scenario
from hypermnesia.hypernet.network import ACTIVATIONS
from hypermnesia.nets import NETS
from hypermnesia.plain_yaml import load_plain
from hypermnesia.registry import unknown_name
from hypermnesia.regularization.lookahead import LOOKAHEADS
from hypermnesia.regularization.output import REGULARIZERS

FOLDER = Path(__file__).parent / "recipes"
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


@dataclass(frozen=True)
class Request:
    """What to run, as a user says it.

    Attributes:
        benchmark: name of the benchmark.
        methods: names of the methods; a configuration is resolved for each.
        scenario: a scenario's name or alias.
        seeds: one training for each.
        recipe: name of the recipe; None for the benchmark's default.
        assignments: `section.field=value` texts, the last word on a field.
        options: fields that an option of their own sets, by section; None says nothing.
    """

    benchmark: str
    methods: Sequence[str] = ("hnet",)
    scenario: str = "task"
    seeds: Sequence[int] = (0,)
    recipe: str | None = None
    assignments: Sequence[str] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def resolve(request: Request) -> list[ExperimentConfig]:
    """A checked configuration for each method of `request`.

    Raises:
        ConfigError: an unknown name, an impossible value, or a method that cannot do the
            scenario.
    """
    if len(set(request.methods)) != len(request.methods):
        raise ConfigError("a method can be named once", got=", ".join(request.methods))
    assigned = parsed(request.assignments)
    refuse_unused(assigned, request.methods)
    return [resolve_one(request, method, assigned) for method in request.methods]


def resolve_one(request: Request, method: str, assigned: Raw) -> ExperimentConfig:
    """The configuration for one method, with the `assigned` fields of its assignments."""
    scenario = run_scenario(method, scenario_name(request.scenario))
    recipe = load_recipe(request.benchmark, request.recipe)
    options = {
        section: {name: value for name, value in fields.items() if value is not None}
        for section, fields in request.options.items()
    }
    names: Raw = {"benchmark": request.benchmark, "method": method, "scenario": scenario}
    names["recipe"] = {"name": recipe.name, "source": recipe.source}
    names["seeds"] = tuple(request.seeds)
    fields = recipe.sections_for(method, scenario)
    unchanged = validated({**fields, **names})
    config = validated({**merged(merged(fields, options), assigned), **names})
    check(config)
    changed = first_difference(config, unchanged) is not None
    return config.model_copy(
        update={"recipe": config.recipe.model_copy(update={"changed": changed})}
    )


def check(config: ExperimentConfig) -> None:
    """Everything about a configuration that can be wrong before data are read.

    Raises:
        ConfigError: names or values that do not exist or do not go together.
    """
    BENCHMARKS[config.benchmark].count(benchmark_settings(config))
    device_of(config.machine)
    optimizers = (config.optimizer, config.embedding_optimizer)
    for optimizer in (*optimizers, config.vae_optimizer, config.vae_embedding_optimizer):
        optimizer_settings(optimizer)
    for regularizer in (config.regularizer, config.vae_regularizer):
        REGULARIZERS[regularizer.kind]
        LOOKAHEADS[regularizer.lookahead]
    for network in (config.hypernet, config.vae_hypernet, config.vae):
        ACTIVATIONS[network.activation]
    NETS[config.target.net]
    if config.train.augment is not None:
        AUGMENTATIONS[config.train.augment]
