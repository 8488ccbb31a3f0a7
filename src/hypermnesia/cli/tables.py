"""Results as tables on stdout."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.experiments.compare import Trial
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.explain import Explanation
from hypermnesia.experiments.results import RunSummary
from hypermnesia.report.comparison import Comparison
from hypermnesia.report.tables import LEGEND, NAMES, SPREAD, TextTable, cell, metrics_table

Row = tuple[RunSummary, ScenarioName]

_WIDEST = 12  # tasks in a matrix that is shown; a larger one is in its file
_MEANINGS = "; ".join(f"{name} = {meaning}" for name, meaning in LEGEND.items())


def console() -> Console:
    """Standard output; wide enough for every table where it is not a terminal."""
    found = Console(markup=False, highlight=False)
    if not found.is_terminal:
        found.width = 200
    return found


def show(summaries: Sequence[RunSummary], scenario: ScenarioName | None = None) -> None:
    """The accuracy matrices of the runs, then one table that compares them.

    Args:
        summaries: the runs.
        scenario: the one to show of a run that has several; None for all.
    """
    out = console()
    rows = [(s, name) for s in summaries for name in s.scenarios if scenario in (None, name)]
    for summary, name in rows:
        _show_matrix(out, summary, name)
    named = [(summary.config.method, summary, name) for summary, name in rows]
    content = metrics_table(_title(rows), named)
    # A title of the table itself would be folded to the table's width.
    out.print(content.title, style="italic", soft_wrap=True)
    out.print(_comparison(content))
    out.print(f"\n{_MEANINGS}. {SPREAD}", style="dim")
    for summary in summaries:
        out.print(f"{summary.config.method}: {summary.folder.path}", soft_wrap=True)


def show_comparison(comparison: Comparison) -> None:
    """The tables of a comparison."""
    out = console()
    for each in comparison.tables:
        out.print(each.title, style="italic", soft_wrap=True)
        table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
        for position, heading in enumerate(each.headings):
            table.add_column(heading, justify="right" if position else "left", no_wrap=not position)
        for row in each.rows:
            table.add_row(*row)
        out.print(table)
        out.print()
    for note in comparison.notes:
        out.print(note, style="dim")


def show_trials(
    trials: Sequence[Trial], summaries: Sequence[RunSummary], scenario: ScenarioName
) -> None:
    """A table of a grid's points, the best first, and the best one's settings for a command."""
    found = [(trial, s.scenarios[scenario]) for trial, s in zip(trials, summaries, strict=True)]
    found.sort(key=lambda pair: pair[1]["acc"]["mean"], reverse=True)
    table = Table(box=box.SIMPLE_HEAD)
    fields = [setting.partition("=")[0] for setting in trials[0].settings]
    for heading in (*fields, "validation ACC %", "during %", "BWT", "n"):
        table.add_column(heading, justify="right", overflow="fold")
    for trial, figures in found:
        values = [setting.partition("=")[2] for setting in trial.settings]
        cells = [cell(figures[name], 2) for name in ("acc", "during", "bwt")]
        table.add_row(*values, *cells, str(figures["acc"]["n"]))
    out = console()
    out.print(table)
    best = " ".join(f"--set {shlex.quote(setting)}" for setting in found[0][0].settings)
    out.print(f"best: {best}", soft_wrap=True)


def show_explanation(explanation: Explanation) -> None:
    """Parts under headings, as they were written."""
    out = console()
    out.print(explanation.title, style="bold", soft_wrap=True)
    for heading, text in explanation.parts:
        out.print(f"\n{heading}", style="italic", soft_wrap=True)
        out.print(textwrap.indent(text, "  "), soft_wrap=True)


def _comparison(content: TextTable) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for heading in content.headings:
        if heading in NAMES:
            table.add_column(heading, no_wrap=True)
        else:
            table.add_column(heading, justify="right", overflow="fold")
    for row in content.rows:
        table.add_row(*row)
    return table


def _title(rows: Sequence[Row]) -> str:
    first, scenarios = rows[0][0].config, {name for _, name in rows}
    changed = ", changed" if any(s.config.recipe.changed for s, _ in rows) else ""
    parts = [first.benchmark, f"recipe {first.recipe.name}{changed}"]
    if len(scenarios) == 1:
        parts.insert(1, f"{rows[0][1]} scenario")
    if first.data.evaluate_on != "test":
        parts.append(_accuracy(first))
    return ", ".join(parts)


def _accuracy(config: ExperimentConfig) -> str:
    return "accuracy" if config.data.evaluate_on == "test" else "validation accuracy"


def _measured(summary: RunSummary) -> str:
    if summary.measure == "accuracy":
        return f"{_accuracy(summary.config)} %"
    return "mean squared error"


def _show_matrix(out: Console, summary: RunSummary, scenario: ScenarioName) -> None:
    config, matrix = summary.config, summary.matrices[scenario]
    tasks, seeds = len(matrix), summary.scenarios[scenario]["acc"]["n"]
    which = f" in {scenario}" if len(summary.scenarios) > 1 else ""
    many = "s" if seeds != 1 else ""
    title = f"{config.method}{which}: {_measured(summary)}, mean of {seeds} seed{many}"
    if tasks > _WIDEST:
        file = summary.folder.matrix(scenario)
        out.print(f"{title}: {tasks} tasks, in {file}", soft_wrap=True)
        return
    out.print(title, style="italic", soft_wrap=True)
    digits = 2 if summary.measure == "accuracy" else 4
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("after")
    for j in range(1, tasks + 1):
        table.add_column(f"task {j}", justify="right")
    for i, row in enumerate(matrix, start=1):
        table.add_row(f"task {i}", *("" if math.isnan(v) else f"{v:.{digits}f}" for v in row))
    out.print(table)
