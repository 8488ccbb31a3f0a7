"""Comparisons of methods as tables, files and a figure; among them the paper's Table 1."""

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
from hypermnesia.report.bars import Bar, Panel, bar_figure
from hypermnesia.report.canvas import png
from hypermnesia.report.tables import TextTable, csv_text, latex, markdown
from hypermnesia.storage import (
    make_folder,
    os_errors_as_run_error,
    write_bytes,
    write_json,
    write_text,
)

_UNSUPPORTED = "-"
_LEGEND = (
    "Accuracy on all tasks after the last one, %: mean ± standard error (number of seeds); "
    "'2 of 5' where seeds are not finished; '-': no method for this scenario."
)


@dataclass(frozen=True)
class Comparison:
    """The output of a comparison.

    Attributes:
        tables: rounded, for readers.
        notes: lines below the tables.
        rows: a flat record for each cell, with all digits.
        figure: contents of a PNG file.
    """

    tables: Sequence[TextTable]
    notes: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    figure: bytes


def method_tables(cells: Sequence[Cell]) -> Comparison:
    """Tabulate each benchmark: a row for each method, a column for each scenario."""
    by_benchmark = _by_benchmark(cells)
    tables = [_table(name, own) for name, own in by_benchmark.items()]
    panels = [
        Panel(name, [Bar(cell.scenario, cell.method, cell.over_seeds()) for cell in own])
        for name, own in by_benchmark.items()
    ]
    notes = [_LEGEND, *_notes_on_other_settings(cells)]
    figure = png(bar_figure(panels, "accuracy %"))
    return Comparison(tables, notes, [record(cell) for cell in cells], figure)


def _by_benchmark(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    names = dict.fromkeys(cell.benchmark for cell in cells)
    return {name: [cell for cell in cells if cell.benchmark == name] for name in names}


def check_files(out: Path, name: str) -> None:
    """Raise `RunError` where `write_files` could not put a file."""
    for path in _files(out, name).values():
        if path.is_dir():
            raise RunError(
                "a file of the comparison must not be a folder",
                got=path,
                hint="move it away, or choose another folder with --out",
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


def _notes_on_other_settings(cells: Sequence[Cell]) -> list[str]:
    """Name the runs that are in the place of the ones asked for."""
    lines = [
        f"Other settings: {cell.benchmark} {cell.method}, which has {cell.other}."
        for cell in cells
        if cell.other is not None
    ]
    return list(dict.fromkeys(lines))


def cell_text(cell: Cell, digits: int = 2) -> str:
    """Return `mean ± sem (n)`, with the number of missing seeds where some are not finished."""
    if cell.config is None:
        return _UNSUPPORTED
    found = cell.over_seeds()
    if cell.other is not None:
        return "other settings"
    seeds = f"{found.n} of {cell.wanted}" if found.n < cell.wanted else f"{found.n}"
    if not found.n:
        return f"not finished ({seeds})"
    return f"{found.text(digits)} ({seeds})"


def record(cell: Cell) -> dict[str, Any]:
    """Return a cell as plain values; None where nothing was measured."""
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
    """Name the recipe of the cells, and whether settings were changed from it."""
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
    """Published accuracies.

    Attributes:
        accuracies: percent by benchmark, method and scenario.
        sources: where they come from, one line each.
    """

    accuracies: dict[tuple[str, str, str], float]
    sources: Sequence[str]

    def of(self, benchmark: str, method: str, scenario: str) -> float:
        """Return percent; NaN where nothing is published."""
        return self.accuracies.get((benchmark, method, scenario), math.nan)


def published() -> Published:
    """Read the published accuracies that come with the package."""
    fields: dict[str, Any] = yaml.safe_load(_PUBLISHED.read_text("utf-8"))
    accuracies = {
        (benchmark, method, scenario): float(value)
        for benchmark, methods in fields["benchmarks"].items()
        for method, values in methods.items()
        for scenario, value in values.items()
        if scenario != "source"
    }
    return Published(accuracies, list(fields["sources"].values()))


def table1_question(
    seeds: Sequence[int], recipe: str | None, machine: dict[str, object], *, quick: bool
) -> Question:
    """Return the comparison that Table 1 shows.

    Args:
        seeds: one training for each.
        recipe: its name; None for each benchmark's default.
        machine: the machine section.
        quick: use small digits and the recipe `quick` instead.
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
    """Tabulate each benchmark with all methods by scenario, ours against published."""
    reference = published()
    by_benchmark = {
        name: sorted(own, key=_table1_order) for name, own in _by_benchmark(cells).items()
    }
    tables = [_published_table(name, own, reference) for name, own in by_benchmark.items()]
    panels = [
        Panel(name, [_bar(cell, reference) for cell in own]) for name, own in by_benchmark.items()
    ]
    quick = not set(by_benchmark) & set(_BENCHMARKS)
    sources = [_QUICK_NOTE] if quick else [f"Published: {each}." for each in reference.sources]
    notes = [_TABLE1_LEGEND, *sources, *_notes_on_other_settings(cells)]
    figure = png(bar_figure(panels, "accuracy %", None if quick else "published"))
    records = [_record(cell, reference) for own in by_benchmark.values() for cell in own]
    return Comparison(tables, notes, records, figure)


def _table1_order(cell: Cell) -> tuple[int, int]:
    return get_args(ScenarioName).index(cell.scenario), METHOD_NAMES.index(cell.method)


def _published_table(benchmark: str, cells: Sequence[Cell], reference: Published) -> TextTable:
    found = {(cell.method, cell.scenario): cell for cell in cells}
    rows = [
        _row(benchmark, method, scenario, found.get((method, scenario)), reference)
        for scenario in get_args(ScenarioName)
        for method in METHOD_NAMES
    ]
    return TextTable(f"{benchmark}, recipe {recipe_name(cells)}", _HEADINGS, rows)


def _row(
    benchmark: str, method: str, scenario: str, cell: Cell | None, reference: Published
) -> list[str]:
    theirs = reference.of(benchmark, method, scenario)
    ours = math.nan if cell is None else cell.over_seeds().mean
    return [
        method,
        scenario,
        _number(theirs, ".2f"),
        _NOT_THERE if cell is None else cell_text(cell),
        _number(ours - theirs, "+.2f"),
    ]


def _record(cell: Cell, reference: Published) -> dict[str, Any]:
    theirs = reference.of(cell.benchmark, cell.method, cell.scenario)
    difference = cell.over_seeds().mean - theirs
    return {**record(cell), "published": plain(theirs), "difference": plain(difference)}


def _bar(cell: Cell, reference: Published) -> Bar:
    mark = reference.of(cell.benchmark, cell.method, cell.scenario)
    return Bar(cell.scenario, cell.method, cell.over_seeds(), mark)


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
