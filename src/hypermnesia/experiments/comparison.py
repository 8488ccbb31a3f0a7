"""A comparison as tables, files and a figure; every cell says how many seeds stand behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypermnesia.durable import make_folder, told_as_run_error, write_bytes, write_json, write_text
from hypermnesia.errors import RunError
from hypermnesia.experiments.compare import Cell
from hypermnesia.experiments.figures.bars import Bar, Panel, bar_plot
from hypermnesia.experiments.results import plain
from hypermnesia.experiments.texts import TextTable, csv_text, latex, markdown

NOT_FOR_IT = "-"
_LEGEND = (
    "Accuracy on all tasks after the last one, %: mean ± standard error (number of seeds); "
    "'2 of 5' where seeds are not finished; '-': no method for this scenario."
)


@dataclass(frozen=True)
class Comparison:
    """What there is to show and to write.

    Attributes:
        tables: for readers.
        notes: lines below the tables.
        rows: a flat record for each cell, every digit kept.
        figure: the bytes of a PNG file.
    """

    tables: Sequence[TextTable]
    notes: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    figure: bytes


def compared(cells: Sequence[Cell]) -> Comparison:
    """A table for each benchmark: a row for each method, a column for each scenario."""
    benchmarks = list(dict.fromkeys(cell.benchmark for cell in cells))
    tables = [_table(name, [c for c in cells if c.benchmark == name]) for name in benchmarks]
    panels = [
        Panel(
            name, [Bar(c.scenario, c.method, c.over_seeds()) for c in cells if c.benchmark == name]
        )
        for name in benchmarks
    ]
    figure = bar_plot(panels, "accuracy %")
    notes = [_LEGEND, *notes_on_others(cells)]
    return Comparison(tables, notes, [record(cell) for cell in cells], figure)


def check_files(out: Path, name: str) -> None:
    """Raise `RunError` where `write_files` could not put a file."""
    for path in _files(out, name).values():
        if path.is_dir():
            raise RunError(
                "a file of the comparison must not be a folder",
                got=path,
                cure="move it away, or choose another folder with --out",
            )


def write_files(comparison: Comparison, out: Path, name: str) -> list[Path]:
    """Write `<name>.md`, `.tex`, `.csv`, `.json` and `.png` into `out`; returns their paths.

    Raises:
        RunError: a file cannot be written.
    """
    with told_as_run_error(out, "the folder of the comparison must be writable"):
        make_folder(out)
    paths, notes = _files(out, name), list(comparison.notes)
    write_text(paths["md"], markdown(comparison.tables, notes))
    write_text(paths["tex"], latex(comparison.tables, notes))
    write_text(paths["csv"], csv_text([_flat(row) for row in comparison.rows]))
    write_json(paths["json"], {"notes": notes, "cells": list(comparison.rows)})
    write_bytes(paths["png"], comparison.figure)
    return list(paths.values())


def _files(out: Path, name: str) -> dict[str, Path]:
    return {end: out / f"{name}.{end}" for end in ("md", "tex", "csv", "json", "png")}


def notes_on_others(cells: Sequence[Cell]) -> list[str]:
    """A line for each run in the place of one that was asked for."""
    lines = [
        f"Other settings: {cell.benchmark} {cell.method}, which has {cell.other}."
        for cell in cells
        if cell.other is not None
    ]
    return list(dict.fromkeys(lines))


def cell_text(cell: Cell, digits: int = 2) -> str:
    """`mean ± sem (n)`; what is there and what is missing, where seeds are not finished."""
    if cell.config is None:
        return NOT_FOR_IT
    found = cell.over_seeds()
    if cell.other is not None:
        return "other settings"
    seeds = f"{found.n} of {cell.wanted}" if found.n < cell.wanted else f"{found.n}"
    if not found.n:
        return f"not finished ({seeds})"
    return f"{found.text(digits)} ({seeds})"


def record(cell: Cell) -> dict[str, Any]:
    """A cell as plain values; None where there is no figure."""
    accuracy, inference = cell.over_seeds(), cell.over_seeds("task_inference")
    return {
        "benchmark": cell.benchmark,
        "scenario": cell.scenario,
        "method": cell.method,
        "recipe": None if cell.config is None else recipe_name([cell]),
        "mean": plain(accuracy.mean),
        "sem": plain(accuracy.sem),
        "n": accuracy.n,
        "wanted": cell.wanted,
        "task_inference": plain(inference.mean),
        "other": cell.other,
        "evaluated_on": None if cell.config is None else cell.config.data.evaluate_on,
        "values": {str(seed): figures["acc"] for seed, figures in cell.figures.items()},
    }


def recipe_name(cells: Sequence[Cell]) -> str:
    """The recipe of the cells, and whether settings were changed from it."""
    configs = [cell.config for cell in cells if cell.config is not None]
    changed = ", changed" if any(config.recipe.changed for config in configs) else ""
    held_out = any(config.data.evaluate_on != "test" for config in configs)
    return configs[0].recipe.name + changed + (", validation accuracy" if held_out else "")


def _table(benchmark: str, cells: Sequence[Cell]) -> TextTable:
    scenarios = list(dict.fromkeys(cell.scenario for cell in cells))
    texts = {(cell.method, cell.scenario): cell_text(cell) for cell in cells}
    rows = [
        [method, *(texts[method, scenario] for scenario in scenarios)]
        for method in dict.fromkeys(cell.method for cell in cells)
    ]
    return TextTable(f"{benchmark}, recipe {recipe_name(cells)}", ["method", *scenarios], rows)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    values = " ".join(f"{seed}:{value!r}" for seed, value in row["values"].items())
    return {**row, "values": values}
