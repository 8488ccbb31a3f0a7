"""Settings that nothing would read are refused, so that nobody believes in their effect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypermnesia.errors import ConfigError
from hypermnesia.experiments.reads import reads


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
