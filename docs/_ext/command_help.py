"""Reference of the command line: the `--help` of each command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import typer
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.testing import CliRunner

from hypermnesia.cli.app import app as commands

_COLUMNS = "88"


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive `command-help`."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True}


class CommandHelp(SphinxDirective):
    """A section for each command, with its help as a terminal shows it."""

    def run(self) -> Sequence[nodes.Node]:
        """The sections, the program's own help first."""
        return list(self._sections())

    def _sections(self) -> Iterator[nodes.Node]:
        yield nodes.literal_block("", shown([]), language="text")
        for name in typer.main.get_command(commands).commands:
            section = nodes.section(ids=[nodes.make_id(name)])
            section += nodes.title("", "", nodes.literal("", name))
            section += nodes.literal_block("", shown([name]), language="text")
            yield section


def shown(command: Sequence[str]) -> str:
    """Return the help of a command, without colours."""
    terminal = {"COLUMNS": _COLUMNS, "TERMINAL_WIDTH": _COLUMNS, "NO_COLOR": "1", "TERM": "dumb"}
    done = CliRunner().invoke(commands, [*command, "--help"], env=terminal)
    return "\n".join(line.rstrip() for line in done.output.strip("\n").splitlines())
