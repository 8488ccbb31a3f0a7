"""The figures of runs as one table, a row for each run and scenario, and what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.experiments.results import RunSummary
from hypermnesia.experiments.texts import TextTable

NAMES = ("method", "scenario")
"""Headings of the columns that name a row."""

LEGEND = {
    "R[i, j]": "accuracy on task j after learning task i, T tasks",
    "ACC": "mean_j R[T, j]",
    "during": "mean_j R[j, j]",
    "BWT": "mean_(j<T) (R[T, j] - R[j, j])",
    "forgetting": "mean_(j<T) (max_i R[i, j] - R[T, j])",
    "task inf.": "samples answered with their own task, mean over tasks at the end",
    "compr.": "compression, learned values / weights of one target network",
    "MB": "peak memory",
}
"""What the columns hold."""

SPREAD = "Mean±standard error over n seeds."

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


def metrics_table(title: str, rows: Sequence[tuple[str, RunSummary, ScenarioName]]) -> TextTable:
    """A table of runs in scenarios; columns that would be empty are left out.

    Args:
        title: stands above it.
        rows: what to call the run, the run, and the scenario; one or more.
    """
    figures = [summary.figures | summary.scenarios[name] for _, summary, name in rows]
    columns = [c for c in _COLUMNS if any(each[c[1]]["n"] for each in figures)]
    several = len({name for *_, name in rows}) > 1
    names = [NAMES[0], *([NAMES[1]] if several else [])]
    texts = [
        [
            *([label, name] if several else [label]),
            *(cell(each[key], digits) for _, key, digits in columns),
            str(each["acc"]["n"]),
        ]
        for (label, _, name), each in zip(rows, figures, strict=True)
    ]
    return TextTable(title, [*names, *(heading for heading, *_ in columns), "n"], texts)


def cell(figure: dict[str, Any], digits: int) -> str:
    """`mean±sem` of a figure, without a sem of zero; a dash where there is no figure."""
    if figure["mean"] is None:
        return "-"
    text = f"{figure['mean']:.{digits}f}"
    return f"{text}±{figure['sem']:.{digits}f}" if figure["sem"] else text
