"""Which settings a method reads."""

from __future__ import annotations

from hypermnesia.methods import METHODS, settings_of

FIELDS = {"target": {"generated", "head", "train_shared"}, "compute": {"precision", "compile"}}
"""Fields that are settings of some methods, in sections that all methods read."""


def reads(method: str, section: str, field: str) -> bool:
    """Whether a field of the configuration changes what `method` does."""
    entry = METHODS[method]
    setting = field if field in FIELDS.get(section, ()) else section
    if setting not in settings_of(METHODS):
        return True
    return setting in entry.settings and f"{section}.{field}" not in entry.ignores
