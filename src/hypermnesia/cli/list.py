"""`hypermnesia list`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from hypermnesia.registry import unknown_name

Rows = Sequence[Sequence[str]]


def list_command(
    kind: Annotated[str, typer.Argument(metavar="{benchmarks,methods,recipes}", help="What.")],
) -> None:
    """Show what there is to choose from.

    For example:

    hypermnesia list recipes
    """
    if kind not in _KINDS:
        raise unknown_name("list to show", kind, _KINDS)
    from rich import box
    from rich.table import Table

    from hypermnesia.cli.tables import console

    table = Table(box=box.SIMPLE_HEAD)
    headings, rows = _KINDS[kind]()
    for heading in headings:
        table.add_column(heading, no_wrap=heading in ("benchmark", "method", "recipe"))
    for row in rows:
        table.add_row(*row)
    console().print(table)


def _benchmarks() -> tuple[Sequence[str], Rows]:
    from hypermnesia.data.benchmarks import BENCHMARKS

    rows = [
        (b.name, str(b.default_tasks), b.description, b.reference)
        for b in map(BENCHMARKS.__getitem__, BENCHMARKS)
    ]
    return ("benchmark", "tasks", "what it is", "source"), rows


def _methods() -> tuple[Sequence[str], Rows]:
    from hypermnesia.methods import METHODS

    rows = [
        (m.name, ", ".join(m.scenarios), m.trained, m.summary, m.source)
        for m in map(METHODS.__getitem__, METHODS)
    ]
    return ("method", "scenarios", "trained", "what it is", "source"), rows


def _recipes() -> tuple[Sequence[str], Rows]:
    from hypermnesia.data.benchmarks import BENCHMARKS
    from hypermnesia.experiments.recipes import load_recipe, recipe_names

    rows = []
    for benchmark in BENCHMARKS:
        for position, name in enumerate(recipe_names(benchmark)):
            mark = " (default)" if position == 0 else ""
            rows.append((benchmark, name + mark, load_recipe(benchmark, name).source))
    return ("benchmark", "recipe", "source"), rows


_KINDS: dict[str, Callable[[], tuple[Sequence[str], Rows]]] = {
    "benchmarks": _benchmarks,
    "methods": _methods,
    "recipes": _recipes,
}
