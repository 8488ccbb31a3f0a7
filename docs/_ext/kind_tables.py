"""Kinds of modules and of data as Markdown, from the tables of the tests."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

TABLES = Path(__file__).parents[2] / "tests/behaviour"


class Kind(Protocol):
    """A row of a table of the tests: what it is, what it belongs to, what becomes of it."""

    name: str
    kind: str
    outcome: str


def kinds(of: str) -> Sequence[Kind]:
    """Return the rows of `KINDS` in module_kinds.py, or of another table if it is there."""
    if not (TABLES / f"{of}_kinds.py").is_file():
        return []
    if str(TABLES) not in sys.path:
        sys.path.insert(0, str(TABLES))
    rows: Sequence[Kind] = import_module(f"{of}_kinds").KINDS
    return rows


def table(rows: Iterable[Kind]) -> str:
    """Write a Markdown table: a row for each group of kinds, a column for each outcome."""
    rows = list(rows)
    groups = dict.fromkeys(row.kind for row in rows)
    outcomes = dict.fromkeys(row.outcome for row in rows)
    lines = [["", *outcomes], ["---"] * (1 + len(outcomes))]
    for group in groups:
        of_group = [row for row in rows if row.kind == group]
        cells = [[row.name for row in of_group if row.outcome == each] for each in outcomes]
        lines.append([f"**{group}**", *("; ".join(names) for names in cells)])
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
