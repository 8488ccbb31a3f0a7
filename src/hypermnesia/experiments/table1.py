"""The paper's Table 1: what was published beside what our runs reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.experiments.compare import Cell, Question
from hypermnesia.experiments.comparison import (
    Comparison,
    cell_text,
    notes_on_others,
    recipe_name,
    record,
)
from hypermnesia.experiments.figures.bars import Bar, Panel, bar_plot
from hypermnesia.experiments.results import plain
from hypermnesia.experiments.texts import TextTable
from hypermnesia.methods import METHODS

_PUBLISHED = Path(__file__).parent / "published" / "table1.yaml"
METHOD_NAMES = ("ewc", "si", "dgr", "hnet-ent", "hnet-tir", "hnet-r", "hnet-lik", "joint")
_BENCHMARKS = ("perm-mnist", "split-mnist")
_QUICK_BENCHMARKS = ("perm-digits", "split-digits")
_NOT_THERE = "no such method here"
_HEADINGS = ("method", "scenario", "published", "ours", "difference")
_LEGEND = (
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
    tables = [_table(name, own, others) for name, own in by_benchmark.items()]
    panels = [
        Panel(name, [_bar(cell, others) for cell in own]) for name, own in by_benchmark.items()
    ]
    quick = not set(by_benchmark) & set(_BENCHMARKS)
    notes = [_LEGEND, _QUICK_NOTE] if quick else [_LEGEND, *_sources(others)]
    figure = bar_plot(panels, "accuracy %", None if quick else "published")
    records = [_record(cell, others) for own in by_benchmark.values() for cell in own]
    return Comparison(tables, [*notes, *notes_on_others(cells)], records, figure)


def _place(cell: Cell) -> tuple[int, int]:
    """Where the paper's table has it: scenario by scenario, the methods of each."""
    return get_args(ScenarioName).index(cell.scenario), METHOD_NAMES.index(cell.method)


def _table(benchmark: str, cells: Sequence[Cell], others: Published) -> TextTable:
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
