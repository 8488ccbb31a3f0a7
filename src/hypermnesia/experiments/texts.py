"""Tables as text: Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
}


_MINUS = re.compile(r"(?<!\w)-(?=\d)")  # not that of a name or an exponent


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are text already; the first column names the row.

    Attributes:
        title: stands above it.
        headings: one for each column.
        rows: of the width of `headings`.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def markdown(tables: Sequence[TextTable], notes: Sequence[str]) -> str:
    """The tables, each under its title, then the notes."""
    parts = []
    for table in tables:
        rule = ["---", *("---:" for _ in table.headings[1:])]
        lines = [_markdown_row(row) for row in (table.headings, rule, *table.rows)]
        parts.append("\n".join([f"**{table.title}**", "", *lines]))
    return "\n\n".join([*parts, *notes]) + "\n"


def latex(tables: Sequence[TextTable], notes: Sequence[str]) -> str:
    """The tables as `tabular` environments that need no package, then the notes as comments."""
    parts = []
    for table in tables:
        columns = "l" + "r" * (len(table.headings) - 1)
        lines = [
            f"% {table.title}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            _latex_row(table.headings),
            r"\hline",
            *map(_latex_row, table.rows),
            r"\hline",
            r"\end{tabular}",
        ]
        parts.append("\n".join(lines))
    comments = "\n".join(f"% {note}" for note in notes)
    return "\n\n".join([*parts, comments]) + "\n"


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """A line for each row under the names of the first one's fields; None is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(map(_latex_cell, cells)) + r" \\"


def _latex_cell(cell: str) -> str:
    signed = "--" if cell == "-" else _MINUS.sub("−", cell)
    return "".join(_LATEX.get(c, c) for c in signed)
