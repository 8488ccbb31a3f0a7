"""Settings that nothing would read are refused, so that nobody believes in their effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypermnesia.errors import ConfigError
from hypermnesia.experiments.build import FIELDS
from hypermnesia.methods import METHODS, settings_of


def refuse_unused(assigned: Mapping[str, Mapping[str, Any]], methods: Sequence[str]) -> None:
    """Raise `ConfigError` for a field that was set and that none of the `methods` reads.

    A recipe may say more than a method reads, and so may a setting for several methods.
    """
    for section, fields in assigned.items():
        for field in fields:
            if not any(_reads(method, section, field) for method in methods):
                raise ConfigError(
                    f"{section}.{field} does nothing for {', '.join(methods)}",
                    got=f"{section}.{field}={fields[field]}",
                    cure="leave it out",
                )


def _reads(method: str, section: str, field: str) -> bool:
    entry = METHODS[method]
    setting = field if field in FIELDS.get(section, ()) else section
    if setting not in settings_of(METHODS):
        return True
    return setting in entry.settings and f"{section}.{field}" not in entry.ignores
