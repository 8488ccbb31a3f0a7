"""Results as tables on stdout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.results import RunSummary

_WIDEST = 12  # tasks in a matrix that is shown; a larger one is in its file
_COLUMNS = (
    ("ACC %", "acc", 2),
    ("during %", "during", 2),
    ("BWT", "bwt", 2),
    ("forgetting", "forgetting", 2),
    ("task inf. %", "task_inference", 2),
    ("compr.", "compression", 3),
    ("seconds", "seconds", 1),
    ("MB", "peak_memory_mb", 0),
)
_FORMULAS = (
    "R[i, j]: accuracy on task j after learning task i, T tasks. ACC = mean_j R[T, j]; "
    "during = mean_j R[j, j]; BWT = mean_(j<T) (R[T, j] - R[j, j]); forgetting = "
    "mean_(j<T) (max_i R[i, j] - R[T, j]); compr. = compression, learned values / weights of one "
    "target network; MB: peak memory. Mean±standard error over n seeds."
)


def console() -> Console:
    """Standard output; wide enough for every table where it is not a terminal."""
    found = Console(markup=False, highlight=False)
    if not found.is_terminal:
        found.width = 200
    return found


def show(summaries: Sequence[RunSummary]) -> None:
    """The accuracy matrix of each run, then one table that compares them."""
    out = console()
    for summary in summaries:
        _show_matrix(out, summary)
    # A title of the table itself would be folded to the table's width.
    out.print(_title(summaries), style="italic", soft_wrap=True)
    out.print(_comparison(summaries))
    out.print("\n" + _FORMULAS, style="dim")
    for summary in summaries:
        out.print(f"{summary.config.method}: {summary.folder.path}", soft_wrap=True)


def cell(figure: dict[str, Any], digits: int) -> str:
    """`mean±sem` of a figure, without a sem of zero; a dash where there is no figure."""
    if figure["mean"] is None:
        return "-"
    text = f"{figure['mean']:.{digits}f}"
    return f"{text}±{figure['sem']:.{digits}f}" if figure["sem"] else text


def _comparison(summaries: Sequence[RunSummary]) -> Table:
    columns = [c for c in _COLUMNS if any(s.figures[c[1]]["n"] for s in summaries)]
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("method", no_wrap=True)
    for heading, _, _ in columns:
        table.add_column(heading, justify="right", overflow="fold")
    table.add_column("n", justify="right")
    for summary in summaries:
        cells = [cell(summary.figures[key], digits) for _, key, digits in columns]
        table.add_row(summary.config.method, *cells, str(summary.figures["acc"]["n"]))
    return table


def _title(summaries: Sequence[RunSummary]) -> str:
    first = summaries[0].config
    changed = ", changed" if any(s.config.recipe.changed for s in summaries) else ""
    parts = [first.benchmark, f"{first.scenario} scenario", f"recipe {first.recipe.name}{changed}"]
    if first.data.evaluate_on != "test":
        parts.append(_accuracy(first))
    return ", ".join(parts)


def _accuracy(config: ExperimentConfig) -> str:
    return "accuracy" if config.data.evaluate_on == "test" else "validation accuracy"


def _show_matrix(out: Console, summary: RunSummary) -> None:
    tasks = len(summary.matrix)
    config, seeds = summary.config, summary.figures["acc"]["n"]
    title = (
        f"{config.method}: {_accuracy(config)} %, mean of {seeds} seed{'s' if seeds != 1 else ''}"
    )
    if tasks > _WIDEST:
        out.print(f"{title}: {tasks} tasks, in {summary.folder.matrix}", soft_wrap=True)
        return
    out.print(title, style="italic", soft_wrap=True)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("after")
    for j in range(1, tasks + 1):
        table.add_column(f"task {j}", justify="right")
    for i, row in enumerate(summary.matrix, start=1):
        table.add_row(f"task {i}", *("" if math.isnan(v) else f"{v:.2f}" for v in row))
    out.print(table)
