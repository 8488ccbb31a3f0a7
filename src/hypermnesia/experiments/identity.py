"""What makes two runs the same run, and which settings a method reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.methods import METHODS, settings_of
from hypermnesia.storage import canonical, sha256

FIELDS = {"target": {"generated", "head", "train_shared"}, "compute": {"precision", "compile"}}
"""Fields that are settings of some methods, in sections that all methods read."""


def reads(method: str, section: str, field: str) -> bool:
    """Whether a field of the configuration changes what `method` does."""
    entry = METHODS[method]
    setting = field if field in FIELDS.get(section, ()) else section
    if setting not in settings_of(METHODS):
        return True
    return setting in entry.settings and f"{section}.{field}" not in entry.ignores


def refuse_unused(assigned: Mapping[str, Mapping[str, Any]], methods: Sequence[str]) -> None:
    """Raise `ConfigError` for a field that was set and that none of the `methods` reads.

    A recipe may say more than a method reads, and so may a setting for several methods.
    """
    for section, fields in assigned.items():
        for field in fields:
            if not any(reads(method, section, field) for method in methods):
                raise ConfigError(
                    f"{section}.{field} does nothing for {', '.join(methods)}",
                    got=f"{section}.{field}={fields[field]}",
                    cure="leave it out",
                )


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


_NEUTRAL: dict[str, Any] = {
    "recipe": True,
    "seeds": True,
    "machine": True,
    "train": {"checkpoint_seconds"},
}


def identity(config: ExperimentConfig) -> str:
    """A stable name (sha256, 64 hexadecimal digits) of everything that changes numbers.

    Fields at their default are left out, so that one added later changes no run's identity.
    """
    return checksum(fields_read(config, exclude_defaults=True))


def owner(config: ExperimentConfig, seed: int) -> str:
    """Whose the checkpoints and the result of a training are."""
    return f"{identity(config)}/seed-{seed}"


def checksum(fields: dict[str, Any]) -> str:
    """sha256 of plain fields, whatever their order; others are a `TypeError` or `ValueError`."""
    return sha256(canonical(fields))


def first_difference(ours: ExperimentConfig, theirs: ExperimentConfig) -> str | None:
    """`field: our value, their value` of the first field in which the identities differ."""
    for path, (mine, other) in differences(ours, theirs).items():
        return f"{path} = {mine} here and {other} there"
    return None


def differences(ours: ExperimentConfig, theirs: ExperimentConfig) -> dict[str, tuple[Any, Any]]:
    """Our value and their value of the fields in which the identities differ, by path."""
    mine, other = _flat(fields_read(ours)), _flat(fields_read(theirs))
    pairs = {path: (mine.get(path), other.get(path)) for path in {**mine, **other}}
    return {path: (here, there) for path, (here, there) in pairs.items() if here != there}


def fields_read(config: ExperimentConfig, *, exclude_defaults: bool = False) -> dict[str, Any]:
    """Every field that changes a seed's numbers, as plain values."""
    fields: dict[str, Any] = config.model_dump(
        mode="json", exclude=_NEUTRAL, exclude_defaults=exclude_defaults
    )
    for section, values in fields.items():
        if isinstance(values, dict):
            read = {name: v for name, v in values.items() if reads(config.method, section, name)}
            fields[section] = read
    return {section: values for section, values in fields.items() if values != {}}


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{leaf}": inner for leaf, inner in value.items()}
        else:
            flat[name] = value
    return flat
