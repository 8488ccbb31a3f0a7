"""Comparisons of methods as tables, files and a figure; among them the paper's Table 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, get_args

import yaml

from hypermnesia import storage
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import RunError
from hypermnesia.experiments.compare import Cell, Question
from hypermnesia.experiments.results import plain
from hypermnesia.methods import METHODS
from hypermnesia.report.canvas import SCALES, png
from hypermnesia.report.figures import Bar, Panel, Point, bar_figure, sizes_figure
from hypermnesia.report.tables import TextTable, csv_text, latex, markdown
from hypermnesia.training.phases import Measure

METHOD_NAMES = ("ewc", "si", "dgr", "hnet-ent", "hnet-tir", "hnet-r", "hnet-lik", "joint")
_PUBLISHED = Path(__file__).parent / "published" / "table1.yaml"
_BENCHMARKS, _QUICK_BENCHMARKS = ("perm-mnist", "split-mnist"), ("perm-digits", "split-digits")
_HEADINGS = ("method", "scenario", "published", "ours", "difference")
_QUICK_NOTE = "Small digits and a short training, for a first look: nothing published to compare."


@dataclass(frozen=True)
class Comparison:
    """The output of a comparison.

    Attributes:
        tables: rounded, for readers.
        notes: lines below the tables.
        rows: a flat record for each cell, with all digits.
        figure: contents of a PNG file.
        against_size: likewise, accuracy against numbers kept; None where nothing was measured.
    """

    tables: Sequence[TextTable]
    notes: Sequence[str]
    rows: Sequence[Mapping[str, Any]]
    figure: bytes
    against_size: bytes | None = None


def method_tables(cells: Sequence[Cell]) -> Comparison:
    """Tabulate each benchmark: a row for each method, a column for each scenario."""
    by_benchmark = _by_benchmark(cells)
    tables = [_table(name, own) for name, own in by_benchmark.items()]
    panels = [
        Panel(name, [Bar(c.scenario, c.label, c.over_seeds()) for c in own], _measure(own))
        for name, own in by_benchmark.items()
    ]
    words = dict.fromkeys(SCALES[_measure(own)].words for own in by_benchmark.values())
    legend = (
        f"{' or '.join(words).capitalize()} on all tasks after the last one: mean ± standard error "
        "(number of seeds); '2 of 5' where seeds are not finished; '-': no method for it."
    )
    notes, records = [legend, *_notes_on_other_settings(cells)], [record(cell) for cell in cells]
    figure, sized = png(bar_figure(panels)), sizes_figure(_points(by_benchmark))
    return Comparison(tables, notes, records, figure, None if sized is None else png(sized))


def _points(by_benchmark: Mapping[str, Sequence[Cell]]) -> list[Point]:
    """The finished cells with numbers kept, by benchmark and scenario."""
    return [
        Point(f"{name}, {c.scenario}", c.method, c.over_seeds("kept").mean, c.over_seeds())
        for name, own in by_benchmark.items()
        for c in own
        if c.measure == "accuracy" and not math.isnan(c.over_seeds("kept").mean)
    ]


def numbers_text(found: Sequence[float]) -> str:
    """Return `2,100,679`, or the least and the most of several numbers; a dash for none."""
    known = sorted({round(each) for each in found if not math.isnan(each)})
    return " to ".join(f"{each:,}" for each in dict.fromkeys((*known[:1], *known[-1:]))) or "-"


def _by_benchmark(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    names = dict.fromkeys(cell.benchmark for cell in cells)
    return {name: [cell for cell in cells if cell.benchmark == name] for name in names}


def _measure(cells: Sequence[Cell]) -> Measure:
    return next((cell.measure for cell in cells if cell.figures), "accuracy")


def _table(benchmark: str, cells: Sequence[Cell]) -> TextTable:
    labels = dict.fromkeys(cell.label for cell in cells)
    scenarios = dict.fromkeys(cell.scenario for cell in cells)
    texts = {(cell.label, cell.scenario): cell_text(cell) for cell in cells}
    kept = {
        label: [c.over_seeds("kept").mean for c in cells if c.label == label and c.figures]
        for label in labels
    }
    rows = [
        [label, *(texts.get((label, name), "-") for name in scenarios), numbers_text(kept[label])]
        for label in labels
    ]
    headings = ["method", *scenarios, "numbers kept"]
    return TextTable(
        f"{benchmark}, recipe {recipe_name([c for c in cells if not c.size])}", headings, rows
    )


def check_files(out: Path, name: str) -> None:
    """Raise `RunError` where `write_files` could not put a file."""
    for path in _files(out, name).values():
        if path.is_dir():
            hint = "move it away, or choose another folder with --out"
            raise RunError("a file of the comparison must not be a folder", got=path, hint=hint)


def write_files(comparison: Comparison, out: Path, name: str) -> list[Path]:
    """Write `<name>.md`, `.tex`, `.csv`, `.json` and `.png` into `out`; return their paths."""
    with storage.os_errors_as_run_error(out, "the folder of the comparison must be writable"):
        storage.make_folder(out)
    paths, notes, rows = _files(out, name), list(comparison.notes), list(comparison.rows)
    storage.write_text(paths["md"], markdown(comparison.tables, notes))
    storage.write_text(paths["tex"], latex(comparison.tables, notes))
    storage.write_text(paths["csv"], csv_text([_flat(row) for row in rows]))
    storage.write_json(paths["json"], {"notes": notes, "cells": rows})
    storage.write_bytes(paths["png"], comparison.figure)
    if comparison.against_size is not None:
        paths["sizes"] = out / f"{name}-sizes.png"
        storage.write_bytes(paths["sizes"], comparison.against_size)
    return list(paths.values())


def _files(out: Path, name: str) -> dict[str, Path]:
    return {end: out / f"{name}.{end}" for end in ("md", "tex", "csv", "json", "png")}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    values = " ".join(f"{seed}:{value!r}" for seed, value in row["values"].items())
    return {**row, "values": values}


def _notes_on_other_settings(cells: Sequence[Cell]) -> list[str]:
    """Name the runs that are in the place of those of the comparison."""
    notes = dict.fromkeys(
        f"Other settings: {cell.benchmark} {cell.method}, which has {cell.other}."
        for cell in cells
        if cell.other is not None
    )
    return list(notes)


def cell_text(cell: Cell) -> str:
    """Return `mean ± sem (n)`, with the number of missing seeds where some are not finished."""
    if cell.config is None:
        return "-"
    if cell.other is not None:
        return "other settings"
    found = cell.over_seeds()
    seeds = f"{found.n} of {cell.wanted}" if found.n < cell.wanted else f"{found.n}"
    if not found.n:
        return f"not finished ({seeds})"
    return f"{found.text(SCALES[cell.measure].digits)} ({seeds})"


def record(cell: Cell) -> dict[str, Any]:
    """Return a cell as plain values; None where nothing was measured."""
    mean, config = cell.over_seeds(), cell.config
    return {
        "benchmark": cell.benchmark,
        "scenario": cell.scenario,
        "method": cell.method,
        "size": cell.size,
        "recipe": None if config is None else recipe_name([cell]),
        "mean": plain(mean.mean),
        "sem": plain(mean.sem),
        "n": mean.n,
        "wanted": cell.wanted,
        "kept": plain(cell.over_seeds("kept").mean),
        "fwt": plain(cell.over_seeds("fwt").mean),
        "task_inference": plain(cell.over_seeds("task_inference").mean),
        "other": cell.other,
        "evaluated_on": None if config is None else config.data.evaluate_on,
        "values": {str(seed): figures["acc"] for seed, figures in cell.figures.items()},
    }


def recipe_name(cells: Sequence[Cell]) -> str:
    """Name the recipe of the cells, and whether settings were changed from it."""
    configs = [cell.config for cell in cells if cell.config is not None]
    changed = ", changed" if any(config.recipe.changed for config in configs) else ""
    held_out = any(config.data.evaluate_on != "test" for config in configs)
    return configs[0].recipe.name + changed + (", validation samples" if held_out else "")


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
    """Return the comparison that Table 1 shows, or a `quick` one on small digits.

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
    reference, by_benchmark = published(), _by_benchmark(sorted(cells, key=_table1_order))
    tables = [_published_table(name, own, reference) for name, own in by_benchmark.items()]
    panels = [
        Panel(name, [_bar(cell, reference) for cell in own]) for name, own in by_benchmark.items()
    ]
    quick = not set(by_benchmark) & set(_BENCHMARKS)
    sources = [_QUICK_NOTE] if quick else [f"Published: {each}." for each in reference.sources]
    legend = (
        "Accuracy on all tasks after the last one, %; ours: mean ± standard error (number of "
        "seeds), '2 of 5' where seeds are not finished."
    )
    notes = [legend, *sources, *_notes_on_other_settings(cells)]
    figure = png(bar_figure(panels, None if quick else "published"))
    records = [_record(cell, reference) for own in by_benchmark.values() for cell in own]
    return Comparison(tables, notes, records, figure)


def _table1_order(cell: Cell) -> tuple[int, int]:
    return get_args(ScenarioName).index(cell.scenario), METHOD_NAMES.index(cell.method)


def _published_table(benchmark: str, cells: Sequence[Cell], reference: Published) -> TextTable:
    found, rows = {(cell.scenario, cell.method): cell for cell in cells}, []
    for scenario, method in product(get_args(ScenarioName), METHOD_NAMES):
        theirs, cell = reference.of(benchmark, method, scenario), found.get((scenario, method))
        ours = math.nan if cell is None else cell.over_seeds().mean
        text = "no such method here" if cell is None else cell_text(cell)
        numbers = _number(theirs, ".2f"), text, _number(ours - theirs, "+.2f")
        rows.append([method, scenario, *numbers])
    return TextTable(f"{benchmark}, recipe {recipe_name(cells)}", _HEADINGS, rows)


def _record(cell: Cell, reference: Published) -> dict[str, Any]:
    theirs = reference.of(cell.benchmark, cell.method, cell.scenario)
    difference = cell.over_seeds().mean - theirs
    return {**record(cell), "published": plain(theirs), "difference": plain(difference)}


def _bar(cell: Cell, reference: Published) -> Bar:
    mark = reference.of(cell.benchmark, cell.method, cell.scenario)
    return Bar(cell.scenario, cell.method, cell.over_seeds(), mark)


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
