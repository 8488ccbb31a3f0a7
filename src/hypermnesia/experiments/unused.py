"""Settings that nothing would read are refused, so that nobody believes in their effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypermnesia.errors import ConfigError
from hypermnesia.methods import METHODS

_SECTIONS = ("hypernet", "regularizer", "distillation", "optimizer", "embedding_optimizer")
_FIELDS = {"target": ("generated", "head", "train_shared"), "compute": ("precision", "compile")}


def refuse_unused(assigned: Mapping[str, Mapping[str, Any]], methods: Sequence[str]) -> None:
    """Raise `ConfigError` for a field that was set and that none of the `methods` reads.

    A recipe may say more than a method reads, and so may a setting for several methods.
    """
    read = {name for method in methods for name in METHODS[method].settings}
    for section, fields in assigned.items():
        for field in fields:
            reader = section if section in _SECTIONS else field
            known = section in _SECTIONS or field in _FIELDS.get(section, ())
            if known and reader not in read:
                raise ConfigError(
                    f"{section}.{field} does nothing for {', '.join(methods)}",
                    got=f"{section}.{field}={fields[field]}",
                    cure="leave it out",
                )
