"""Texts of strangers, before they are escaped: short, and of signs that can be seen."""

from __future__ import annotations

from collections.abc import Sequence

from hypermnesia.errors import printable

_MOST = 300  # signs
_MOST_SEEDS = 12


def shown(value: object, most: int = _MOST) -> str:
    """`value` as a printable text of at most `most` signs."""
    text = str(value)
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return printable(cut)


def seeds_listed(seeds: Sequence[int]) -> str:
    """`seeds 0, 1, 2`, or the first ones of many."""
    listed = ", ".join(map(str, seeds[:_MOST_SEEDS]))
    more = f" and {len(seeds) - _MOST_SEEDS} more" if len(seeds) > _MOST_SEEDS else ""
    return f"seed{'s' if len(seeds) != 1 else ''} {listed}{more}"
