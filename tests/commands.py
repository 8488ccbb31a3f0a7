"""Commands as they stand in help and documents: found, parsed, and tried without training."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest
import typer

from hypermnesia.cli import main
from hypermnesia.cli.app import app
from hypermnesia.experiments import doctor

GROUP = typer.main.get_command(app)
_LINE = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:\S*/)?hypermnesia( .*)?$")


def words(line: str) -> list[str] | None:
    """The arguments of a line that is a `hypermnesia` command; None for any other line."""
    match = _LINE.match(line.strip())
    return None if match is None else shlex.split(match[1] or "", comments=True)


def in_documents(text: str) -> Iterator[list[str]]:
    """The arguments of every command in the shell blocks of a Markdown text."""
    for block in re.findall(r"^```(?:bash|shell|console)\n(.*?)^```", text, re.M | re.S):
        for line in block.replace("\\\n", "").splitlines():
            for part in re.split(r"&&|;", line.partition(" #")[0]):
                found = words(part)
                if found is not None:
                    yield found


def parse(arguments: list[str]) -> None:
    """Let the command line read them; raises what it says about a mistake."""
    if arguments[0].startswith("-"):
        return
    name, *rest = arguments
    command = GROUP.commands[name]
    if "--help" not in rest:
        command.make_context(name, rest)


def dry_run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command that stops where training would begin."""

    def stop(*_: object, **__: object) -> None:
        raise typer.Exit(0)

    for work in ("session", "compare_and_show", "launch_and_show", "launch_trials"):
        monkeypatch.setattr(f"hypermnesia.cli.terminal.{work}", stop)
    monkeypatch.setenv("RAY_ADDRESS", "")  # which --address sets, to be undone
    monkeypatch.setitem(doctor._SIDE, "cpu", 8)
    return main(arguments)
