"""From what a user asks for to resolved configurations: recipe, then method, then overrides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypermnesia.data.augment import AUGMENTATIONS
from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.data.scenarios import scenario_name
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.build import benchmark_settings, device_of, optimizer_settings
from hypermnesia.experiments.config import ExperimentConfig, validated
from hypermnesia.experiments.identity import first_difference
from hypermnesia.experiments.overrides import Raw, merged, parsed
from hypermnesia.experiments.recipes import load_recipe
from hypermnesia.experiments.scenarios import run_scenario
from hypermnesia.experiments.unused import refuse_unused
from hypermnesia.hypernet.network import ACTIVATIONS
from hypermnesia.lookahead import LOOKAHEADS
from hypermnesia.nets import NETS
from hypermnesia.regularizers import REGULARIZERS


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
