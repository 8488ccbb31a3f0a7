"""What makes two runs the same run."""

from __future__ import annotations

from typing import Any

from hypermnesia.checksums import canonical, sha256
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.reads import reads

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
