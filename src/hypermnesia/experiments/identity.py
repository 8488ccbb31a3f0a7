"""What makes two runs the same run."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.methods import METHODS

_NEUTRAL: dict[str, Any] = {
    "recipe": True,
    "seeds": True,
    "machine": True,
    "train": {"checkpoint_seconds"},
}
_OF_SOME_METHODS = ("hypernet", "regularizer", "embedding_optimizer")


def identity_fields(config: ExperimentConfig) -> dict[str, Any]:
    """Every field that changes a seed's numbers, as plain values."""
    fields: dict[str, Any] = config.model_dump(mode="json", exclude=_NEUTRAL)
    used = METHODS[config.method].settings
    return {name: v for name, v in fields.items() if name not in _OF_SOME_METHODS or name in used}


def identity(config: ExperimentConfig) -> str:
    """A stable name (sha256, 64 hexadecimal digits) of everything that changes numbers."""
    text = json.dumps(identity_fields(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def first_difference(ours: ExperimentConfig, theirs: ExperimentConfig) -> str | None:
    """`field: our value, their value` of the first field in which the identities differ."""
    mine, other = _flat(identity_fields(ours)), _flat(identity_fields(theirs))
    for path, value in mine.items():
        if value != other.get(path):
            return f"{path} = {value} here and {other.get(path)} there"
    return None


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{leaf}": inner for leaf, inner in value.items()}
        else:
            flat[name] = value
    return flat
