"""Which scenarios a run is about: what a user asks for, what is trained, what is evaluated."""

from __future__ import annotations

from typing import Literal

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.methods import METHODS

RunScenario = Literal["task", "domain", "class", "all"]


def run_scenario(method: str, scenario: ScenarioName) -> RunScenario:
    """The scenario of the run that answers for `method` in `scenario`.

    It is `all` for a method that is trained once for every scenario.

    Raises:
        ConfigError: a method that does not exist or cannot do the scenario.
    """
    entry = METHODS[method]
    if scenario not in entry.scenarios:
        able = [name for name in METHODS if scenario in METHODS[name].scenarios]
        raise ConfigError(
            f"the method {method} works in the scenarios {', '.join(entry.scenarios)}",
            got=f"'{scenario}'",
            cure=f"methods for it: {', '.join(able) or 'none'}",
        )
    return "all" if entry.trained == "once" else scenario


def evaluated(config: ExperimentConfig) -> tuple[ScenarioName, ...]:
    """The scenarios that a run of `config` has accuracies in."""
    return METHODS[config.method].scenarios if config.scenario == "all" else (config.scenario,)


def trained(config: ExperimentConfig) -> ScenarioName:
    """The scenario that the method of `config` is built for: own heads, if it is for all."""
    return "task" if config.scenario == "all" else config.scenario
