"""A comparison as tables, files and a figure; every cell says how many seeds stand behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypermnesia.durable import make_folder, told_as_run_error, write_bytes, write_json, write_text
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
class Report:
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


def compared(cells: Sequence[Cell]) -> Report:
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
    return Report(tables, [_LEGEND], [record(cell) for cell in cells], figure)


def write_report(report: Report, out: Path, name: str) -> list[Path]:
    """Write `<name>.md`, `.tex`, `.csv`, `.json` and `.png` into `out`; returns their paths.

    Raises:
        RunError: a file cannot be written.
    """
    with told_as_run_error(out, "the folder of the report must be writable"):
        make_folder(out)
    paths = {end: out / f"{name}.{end}" for end in ("md", "tex", "csv", "json", "png")}
    write_text(paths["md"], markdown(report.tables, report.notes))
    write_text(paths["tex"], latex(report.tables, report.notes))
    write_text(paths["csv"], csv_text([_flat(row) for row in report.rows]))
    write_json(paths["json"], {"notes": list(report.notes), "cells": list(report.rows)})
    write_bytes(paths["png"], report.figure)
    return list(paths.values())


def cell_text(cell: Cell, digits: int = 2) -> str:
    """`mean ± sem (n)`; what is there and what is missing, where seeds are not finished."""
    if cell.config is None:
        return NOT_FOR_IT
    found = cell.over_seeds()
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
