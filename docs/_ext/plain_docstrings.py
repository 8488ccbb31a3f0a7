"""Docstrings are plain text with `code`: other markup in them is escaped."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_CODE = re.compile(r"(`[^`]*`)")
_MARKUP = re.compile(r"([*|])|(_)(?=\W|$)")
_NAPOLEON = 500  # priority of listeners that name none


def setup(app: Sphinx) -> dict[str, Any]:
    """Escape before napoleon adds its own markup."""
    app.connect("autodoc-process-docstring", _escape, priority=_NAPOLEON - 100)
    app.connect("autodoc-process-docstring", _escape_types, priority=_NAPOLEON + 100)
    return {"parallel_read_safe": True}


def _escape(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    in_doctest = False
    for index, line in enumerate(lines):
        in_doctest = bool(line.strip()) and (in_doctest or line.lstrip().startswith(">>>"))
        if not in_doctest:
            lines[index] = _escaped(line)


def _escape_types(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Shapes such as `*tasks batch`, which napoleon copies from annotations."""
    lines[:] = [_escaped(line) if line.startswith(":vartype") else line for line in lines]


def _escaped(line: str) -> str:
    parts = _CODE.split(line)
    parts[::2] = [_MARKUP.sub(lambda found: "\\" + found[0], part) for part in parts[::2]]
    return "".join(parts)
