"""Kinds of modules and of data, and what becomes of them: tables of the page on behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docutils import nodes
from kind_tables import TABLES, kinds, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive `kinds`."""
    app.add_directive("kinds", Kinds)
    return {"parallel_read_safe": True}


class Kinds(SphinxDirective):
    """The table of the tests that the argument names: `module` or `data`."""

    required_arguments = 1

    def run(self) -> Sequence[nodes.Node]:
        """The table, or nothing where the tests have none."""
        for path in TABLES.glob("*.py"):
            self.env.note_dependency(str(path))
        rows = kinds(self.arguments[0])
        return self.parse_text_to_nodes(table(rows)) if rows else []
