"""Tables: their contents, and their form in Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypermnesia import metrics
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.experiments.resolve import settings_read
from hypermnesia.experiments.results import RunSummary
from hypermnesia.metrics import Matrix
from hypermnesia.report.canvas import SCALES, seed_count
from hypermnesia.report.collect import CollectedRun, safe_text, seed_list
from hypermnesia.training.logs import spread_out
from hypermnesia.training.phases import Measure

_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
}
_MINUS = re.compile(r"(?<!\w)-(?=\d)")  # not that of a name or an exponent


@dataclass(frozen=True)
class TextTable:
    """A table of strings; the first column names the row.

    Attributes:
        title: shown above it.
        headings: one for each column.
        rows: of the width of `headings`.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def markdown(tables: Sequence[TextTable], notes: Sequence[str]) -> str:
    """Format tables, each under its title, then the notes."""
    parts = []
    for table in tables:
        rule = ["---", *("---:" for _ in table.headings[1:])]
        lines = [_markdown_row(row) for row in (table.headings, rule, *table.rows)]
        parts.append("\n".join([f"**{table.title}**", "", *lines]))
    return "\n\n".join([*parts, *notes]) + "\n"


def latex(tables: Sequence[TextTable], notes: Sequence[str]) -> str:
    """Format tables as `tabular` environments that need no package, then the notes as comments."""
    parts = []
    for table in tables:
        columns = "l" + "r" * (len(table.headings) - 1)
        lines = [
            f"% {table.title}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            _latex_row(table.headings),
            r"\hline",
            *map(_latex_row, table.rows),
            r"\hline",
            r"\end{tabular}",
        ]
        parts.append("\n".join(lines))
    comments = "\n".join(f"% {note}" for note in notes)
    return "\n\n".join([*parts, comments]) + "\n"


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """Format rows under the field names of the first one; None is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _latex_row(cells: Iterable[str]) -> str:
    signed = ("--" if cell == "-" else _MINUS.sub("−", cell) for cell in cells)
    return " & ".join("".join(_LATEX.get(c, c) for c in cell) for cell in signed) + r" \\"


NAMES = ("method", "scenario")
"""Headings of the columns that name a row."""

SPREAD = "Mean±standard error over n seeds."
"""Meaning of the cells."""

_MOST_TASKS = 20  # rows of a table; files have the rest
_MOST_FACTS, _MOST_MACHINES = 30, 4

Columns = Sequence[tuple[str, str, int]]
"""Heading, name of the figure, digits."""

_SHARED = (
    ("task inf. %", "task_inference", 2),
    ("compr.", "compression", 3),
    ("kept", "kept", 0),
    ("bytes", "kept_bytes", 0),
    ("seconds", "seconds", 1),
    ("MB", "peak_memory_mb", 0),
)
COLUMNS: dict[Measure, Columns] = {
    "accuracy": (
        ("ACC %", "acc", 2),
        ("during %", "during", 2),
        ("BWT", "bwt", 2),
        ("FWT", "fwt", 2),
        ("forgetting", "forgetting", 2),
        *_SHARED,
    ),
    "mse": (
        ("MSE", "acc", 4),
        ("MSE during", "during", 4),
        ("rise", "bwt", 4),
        ("forgetting", "forgetting", 4),
        *_SHARED,
    ),
}
"""Columns of runs, by what they measure."""

_CHANGE = "mean_(j<T) (R[T, j] - R[j, j])"
_LEGENDS: dict[Measure, dict[str, str]] = {
    "accuracy": {
        "R[i, j]": "accuracy on task j after learning task i, T tasks",
        "ACC": "mean_j R[T, j]",
        "during": "mean_j R[j, j]",
        "BWT": _CHANGE,
        "FWT": "mean_(j>1) (accuracy on task j before its first sample - 100 / its classes)",
        "forgetting": "mean_(j<T) (max_i R[i, j] - R[T, j])",
    },
    "mse": {
        "R[i, j]": "mean squared error on task j after learning task i, T tasks",
        "MSE": "mean_j R[T, j]",
        "MSE during": "mean_j R[j, j]",
        "rise": _CHANGE,
        "forgetting": "mean_(j<T) (R[T, j] - min_i R[i, j])",
    },
}
_LEGEND = {
    "task inf.": "samples answered with their own task, mean over tasks at the end",
    "compr.": "compression, learned values / weights of one target network",
    "kept": "numbers kept for all tasks: learned values, sums, covariances; of random ones a seed",
    "MB": "peak memory",
}


def legend(measures: Iterable[Measure]) -> dict[str, str]:
    """Return the meaning of the columns of runs with these measures, by heading."""
    meanings: dict[str, list[str]] = {}
    for measure in dict.fromkeys(measures):
        for heading, meaning in _LEGENDS[measure].items():
            meanings.setdefault(heading, []).append(meaning)
    return {**{heading: ", or ".join(each) for heading, each in meanings.items()}, **_LEGEND}


def metrics_table(title: str, rows: Sequence[tuple[str, RunSummary, ScenarioName]]) -> TextTable:
    """Tabulate (label, run, scenario) of runs of one benchmark, without columns that are empty."""
    figures = [summary.figures | summary.scenarios[name] for _, summary, name in rows]
    columns = COLUMNS[rows[0][1].measure]
    none = {"mean": None, "sem": None, "n": 0}  # of earlier versions' results
    figures = [{key: none for _, key, _ in columns} | each for each in figures]
    columns = [column for column in columns if any(each[column[1]]["n"] for each in figures)]
    several = len({name for *_, name in rows}) > 1
    names = NAMES if several else NAMES[:1]
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
    """Return `mean±sem` of a figure, without a sem of zero; a dash where there is no figure."""
    if figure["mean"] is None:
        return "-"
    spread = f"±{figure['sem']:.{digits}f}" if figure["sem"] else ""
    return f"{figure['mean']:.{digits}f}{spread}"


def results_table(runs: Sequence[CollectedRun]) -> TextTable:
    """Tabulate the figures of `runs`, each with a finished seed, in each scenario."""
    rows = [(run.label, run.summary, name) for run in runs for name in run.summary.scenarios]
    name = SCALES[runs[0].summary.measure].name.capitalize()
    return metrics_table(f"{name}, forgetting and cost: mean±standard error over n seeds", rows)


def cost_table(runs: Sequence[CollectedRun]) -> TextTable:
    """Tabulate milliseconds per iteration of each task and, where known, seconds of training."""
    costs = [_costs(run) for run in runs]
    tasks = max(map(len, costs))
    rows = [
        [str(task + 1), *(own[task] if 1 < len(own) > task else "-" for own in costs)]
        for task in (spread_out(tasks, _MOST_TASKS) if tasks > 1 else ())
    ]
    if any(len(own) == 1 for own in costs):
        rows.append(["all at once", *(own[0] if len(own) == 1 else "-" for own in costs)])
    title = "Milliseconds an iteration (seconds of training the task)"
    return TextTable(title, ["task", *(run.label for run in runs)], rows)


def matrix_tables(run: CollectedRun) -> Iterator[TextTable]:
    """Tabulate R of a run in each scenario, unless it is too large to read."""
    measure, seeds = run.summary.measure, seed_count(len(run.results))
    what, unit = (
        f"{SCALES[measure].name.capitalize()} matrix",
        "%, " if measure == "accuracy" else "",
    )
    for scenario, matrix in run.summary.matrices.items():
        if len(matrix) <= _MOST_TASKS:
            headings = ["after task", *(f"task {j}" for j in range(1, len(matrix) + 1))]
            title = f"{what}, {scenario} scenario, {unit}mean of {seeds}"
            yield TextTable(title, headings, matrix_rows(matrix, measure))


def matrix_rows(matrix: Matrix, measure: Measure) -> list[list[str]]:
    """Format (T, T) R, each row after its task number, from 1; empty where not measured."""
    return [
        [str(i), *("" if math.isnan(value) else SCALES[measure].text(value) for value in row)]
        for i, row in enumerate(matrix, start=1)
    ]


def settings_table(run: CollectedRun) -> TextTable:
    """Tabulate the sections of the configuration that the method uses."""
    lines = settings_read(run.config).items()
    rows = [[name, safe_text(line[1:-1], 1000)] for name, line in lines]  # without braces
    return TextTable("Configuration", ["section", "settings"], rows)


def environment_table(run: CollectedRun) -> TextTable:
    """Tabulate software and machine: a row for each fact, a column for each distinct machine."""
    machines: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for seed, facts in run.environments.items():
        known = tuple((safe_text(name, 40), safe_text(fact)) for name, fact in facts.items())
        machines.setdefault(known[:_MOST_FACTS], []).append(seed)
    columns = [dict(machine) for machine in machines][:_MOST_MACHINES]
    seeds = [seed_list(own) for own in machines.values()][:_MOST_MACHINES]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [[name, *(column.get(name, "") for column in columns)] for name in names]
    some = f", {_MOST_MACHINES} of {len(machines)}" if len(machines) > _MOST_MACHINES else ""
    return TextTable(f"Environment{some}", ["fact", *seeds], rows)


def _costs(run: CollectedRun) -> list[str]:
    """Return for each phase of training: `milliseconds per iteration (seconds in total)`."""
    by_phase = zip(*(each.seconds_per_iteration for each in run.results.values()), strict=True)
    means = [metrics.over_seeds(seconds).mean for seconds in by_phase]
    iterations = run.config.train.iterations
    if iterations is None:  # epochs, whose length is in the data
        return [f"{1000 * seconds:.3g}" for seconds in means]
    if len(means) == 1:
        iterations *= run.config.tasks
    return [f"{1000 * seconds:.3g} ({seconds * iterations:.3g} s)" for seconds in means]
