"""The command that makes a run anew, from what is stored of it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import groupby

import yaml

from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.identity import differences
from hypermnesia.experiments.resolve import Request, resolve
from hypermnesia.experiments.scenarios import evaluated


def command_of(config: ExperimentConfig) -> str:
    """`hypermnesia run ...` with the benchmark, recipe, seeds and settings of `config`.

    Where this version's recipe says something else than the stored run, or has gone, the
    difference is in the settings.

    Raises:
        ConfigError: the method cannot do what the configuration says.
    """
    words = ["hypermnesia", "run", config.benchmark, "--method", config.method]
    if config.scenario != "all":
        words += ["--scenario", config.scenario]
    words += ["--seeds", seeds_text(config.seeds)]
    try:
        plain, named = _plain(config, config.recipe.name), ["--recipe", config.recipe.name]
    except ConfigError:
        plain, named = _plain(config, None), []
    words += named
    for path, (value, _) in differences(config, plain).items():
        words += ["--set", f"{path}={_in_yaml(value)}"]
    return shlex.join(words)


def seeds_text(seeds: Sequence[int]) -> str:
    """Rising seeds as `--seeds` takes them: `0-2,5`."""
    runs = groupby(enumerate(seeds), key=lambda pair: pair[1] - pair[0])
    return ",".join(_range([seed for _, seed in run]) for _, run in runs)


def _range(seeds: Sequence[int]) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}-{seeds[-1]}"


def _plain(config: ExperimentConfig, recipe: str | None) -> ExperimentConfig:
    """What the command makes without any setting."""
    scenario = evaluated(config)[0]
    request = Request(config.benchmark, (config.method,), scenario, config.seeds, recipe)
    (plain,) = resolve(request)
    return plain


def _in_yaml(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return text.removesuffix("...\n").strip()
