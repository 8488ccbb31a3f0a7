"""Comparisons as tables, files and a figure, the paper's Table 1 among them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import RunError
from hypermnesia.experiments.compare import Cell, Question
from hypermnesia.experiments.results import plain
from hypermnesia.methods import METHODS
from hypermnesia.report.bars import Bar, Panel, bar_plot
from hypermnesia.report.tables import TextTable, csv_text, latex, markdown
from hypermnesia.storage import (
    make_folder,
    os_errors_as_run_error,
    write_bytes,
    write_json,
    write_text,
)

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
    with os_errors_as_run_error(out, "the folder of the comparison must be writable"):
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


_PUBLISHED = Path(__file__).parent / "published" / "table1.yaml"
METHOD_NAMES = ("ewc", "si", "dgr", "hnet-ent", "hnet-tir", "hnet-r", "hnet-lik", "joint")
_BENCHMARKS = ("perm-mnist", "split-mnist")
_QUICK_BENCHMARKS = ("perm-digits", "split-digits")
_NOT_THERE = "no such method here"
_HEADINGS = ("method", "scenario", "published", "ours", "difference")
_TABLE1_LEGEND = (
    "Accuracy on all tasks after the last one, %; ours: mean ± standard error (number of seeds), "
    "'2 of 5' where seeds are not finished."
)
_QUICK_NOTE = "Small digits and a short training, for a first look: nothing published to compare."


@dataclass(frozen=True)
class Published:
    """Accuracies that others report.

    Attributes:
        accuracies: percent by benchmark, method and scenario.
        sources: where they come from, one line each.
    """

    accuracies: dict[tuple[str, str, str], float]
    sources: Sequence[str]

    def of(self, benchmark: str, method: str, scenario: str) -> float:
        """Percent, or NaN where there is none."""
        return self.accuracies.get((benchmark, method, scenario), math.nan)


def published() -> Published:
    """The stored accuracies."""
    fields: dict[str, Any] = yaml.safe_load(_PUBLISHED.read_text("utf-8"))
    accuracies = {
        (benchmark, method, scenario): float(value)
        for benchmark, methods in fields["benchmarks"].items()
        for method, values in methods.items()
        for scenario, value in values.items()
        if scenario != "source"
    }
    return Published(accuracies, list(fields["sources"].values()))


def question(
    seeds: Sequence[int], recipe: str | None, machine: dict[str, object], *, quick: bool
) -> Question:
    """What the table asks, of the methods that there are.

    Args:
        seeds: one training for each.
        recipe: its name; None for each benchmark's default.
        machine: the machine section.
        quick: ask it of small digits, with the recipe `quick`.
    """
    return Question(
        benchmarks=_QUICK_BENCHMARKS if quick else _BENCHMARKS,
        scenarios=get_args(ScenarioName),
        methods=[name for name in METHOD_NAMES if name in METHODS],
        seeds=seeds,
        recipe="quick" if quick else recipe,
        options={"machine": machine},
    )


def table1(cells: Sequence[Cell]) -> Comparison:
    """A table for each benchmark with the methods of every scenario, ours against published."""
    others = published()
    by_benchmark = {
        name: sorted((cell for cell in cells if cell.benchmark == name), key=_place)
        for name in dict.fromkeys(cell.benchmark for cell in cells)
    }
    tables = [_published_table(name, own, others) for name, own in by_benchmark.items()]
    panels = [
        Panel(name, [_bar(cell, others) for cell in own]) for name, own in by_benchmark.items()
    ]
    quick = not set(by_benchmark) & set(_BENCHMARKS)
    notes = [_TABLE1_LEGEND, _QUICK_NOTE] if quick else [_TABLE1_LEGEND, *_sources(others)]
    figure = bar_plot(panels, "accuracy %", None if quick else "published")
    records = [_record(cell, others) for own in by_benchmark.values() for cell in own]
    return Comparison(tables, [*notes, *notes_on_others(cells)], records, figure)


def _place(cell: Cell) -> tuple[int, int]:
    """Where the paper's table has it: scenario by scenario, the methods of each."""
    return get_args(ScenarioName).index(cell.scenario), METHOD_NAMES.index(cell.method)


def _published_table(benchmark: str, cells: Sequence[Cell], others: Published) -> TextTable:
    found = {(cell.method, cell.scenario): cell for cell in cells}
    rows = [
        _row(benchmark, method, scenario, found.get((method, scenario)), others)
        for scenario in get_args(ScenarioName)
        for method in METHOD_NAMES
    ]
    return TextTable(f"{benchmark}, recipe {recipe_name(cells)}", _HEADINGS, rows)


def _row(
    benchmark: str, method: str, scenario: str, cell: Cell | None, others: Published
) -> list[str]:
    theirs = others.of(benchmark, method, scenario)
    ours = math.nan if cell is None else cell.over_seeds().mean
    return [
        method,
        scenario,
        _text(theirs, ".2f"),
        _NOT_THERE if cell is None else cell_text(cell),
        _text(ours - theirs, "+.2f"),
    ]


def _record(cell: Cell, others: Published) -> dict[str, Any]:
    theirs = others.of(cell.benchmark, cell.method, cell.scenario)
    difference = cell.over_seeds().mean - theirs
    return {**record(cell), "published": plain(theirs), "difference": plain(difference)}


def _bar(cell: Cell, others: Published) -> Bar:
    mark = others.of(cell.benchmark, cell.method, cell.scenario)
    return Bar(cell.scenario, cell.method, cell.over_seeds(), mark)


def _sources(others: Published) -> list[str]:
    return [f"Published: {source}." for source in others.sources]


def _text(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
