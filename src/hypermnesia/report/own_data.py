"""A report's section on a learner of tables, from the numbers that its fits kept."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.learner.folder import Entry, Record, read_record
from hypermnesia.learner.quality import Answered, Quality
from hypermnesia.metrics import Matrix
from hypermnesia.report import canvas, figures, matrices, tables
from hypermnesia.report.canvas import SCALES, Drawn
from hypermnesia.report.collect import safe_text
from hypermnesia.report.page import Section, pictures_of
from hypermnesia.report.tables import TextTable
from hypermnesia.training.logs import spread_out


def matrix_of(answered: Answered) -> Matrix:
    """(T, T) R, NaN above the diagonal and where no row was held out."""
    matrix = np.full((len(answered.matrix), len(answered.matrix)), math.nan)
    for i, row in enumerate(answered.matrix):
        matrix[i, : len(row)] = [math.nan if value is None else value for value in row]
    return matrix


def scenarios_of(record: Record) -> dict[ScenarioName, Answered]:
    """What was measured, by scenario: with the task given, and where it is inferred."""
    quality = record.quality
    found: dict[ScenarioName, Answered] = {"task": quality.given}
    if quality.inferred is not None:
        apart = quality.measure == "accuracy" and quality.distinct
        found["class" if apart else "domain"] = quality.inferred
    return found


def task_table(record: Record) -> TextTable:
    """Tabulate the tasks: samples, classes, the measure when learned and now, drift."""
    name = {"accuracy": "ACC %", "mse": "MSE"}[record.quality.measure]
    inferred = [f"{name} if inferred"] if record.quality.inferred else []
    headings = ["task", "learned", "held out", "classes", f"{name} first", f"{name} now", *inferred]
    rows = [_task_row(record, place, entry) for place, entry in enumerate(record.tasks)]
    return TextTable("Tasks, measured on rows held out", [*headings, "drift"], rows)


def _task_row(record: Record, place: int, entry: Entry) -> list[str]:
    quality = record.quality
    matrix, inferred = quality.given.matrix, quality.inferred
    drift = quality.drift[place]
    values = [matrix[place][place], matrix[-1][place]]
    values += [inferred.matrix[-1][place]] if inferred else []
    shown = ["-" if v is None else SCALES[quality.measure].text(v) for v in values]
    return [
        safe_text(entry.name, 40),
        str(entry.rows),
        str(entry.held_out),
        "-" if entry.labels is None else safe_text(", ".join(entry.labels), 60),
        *shown,
        "-" if drift is None else f"{drift:.3f}",
    ]


def learner_figures(record: Record) -> Iterator[Drawn]:
    """Draw matrices, forgetting, task confusion, calibration and drift of held-out rows."""
    quality = record.quality
    for scenario, answered in scenarios_of(record).items():
        matrix = matrix_of(answered)
        yield matrices.accuracy_matrix(scenario, matrix, 1, quality.measure)
        for drawn in (
            matrices.accuracy_over_time(scenario, matrix, 1, quality.measure),
            figures.forgetting(scenario, {"learner": [matrix]}, quality.measure),
        ):
            yield from [] if drawn is None else [drawn]
        if answered.calibration:
            yield matrices.reliability(scenario, np.array(answered.calibration))
    if len(quality.confusion) > 1:
        others = [name for name in scenarios_of(record) if name != "task"]
        yield matrices.task_confusion(np.array(quality.confusion), others, "held-out")
    if (drawn := drift_figure([entry.name for entry in record.tasks], quality)) is not None:
        yield drawn


def drift_figure(names: Sequence[str], quality: Quality) -> Drawn | None:
    """Draw bars for the drift of tasks but the last, or of many, evenly spread; None for none.

    Args:
        names: those of the tasks, in their order.
        quality: of a learner of these tasks.
    """
    measured = [
        (n, d) for n, d in zip(names[:-1], quality.drift[:-1], strict=True) if d is not None
    ]
    chosen = (measured[place] for place in spread_out(len(measured), _MOST_BARS))
    known = {safe_text(name, 40): drift for name, drift in chosen}
    if not known:
        return None
    figure, axes = canvas.new_axes(1.2 + 0.28 * len(known))
    axes.barh(range(len(known)), [*known.values()], color=canvas.COLOURS[0])
    axes.set_yticks(range(len(known)), [*known])
    axes.invert_yaxis()  # the first task on top, as in tables
    axes.set_xlim(0, 1.1 * max(*known.values(), 0.05))
    canvas.label_axes(axes, "drift", "")
    values = "; ".join(f"{name} {drift:.3f}" for name, drift in known.items())
    text = f"Drift, the {_DRIFT[quality.measure]}: {values}."
    return Drawn("drift", "Drift since a task was learned", text, figure)


def learner_section(folder: Path, anchor: str) -> Section:
    """Describe a learner of tables; its folder is only read."""
    record = read_record(folder)
    complete = all(entry.held_out for entry in record.tasks)
    why = "a task of which no rows were held out (fit with --holdout 0.2)"
    columns = record.columns
    facts = [
        ("Folder", safe_text(folder.resolve().name)),
        ("Model", safe_text(record.model)),
        ("Predicts", f"{safe_text(columns.target)} from {len(columns.inputs)} columns"),
        ("Drift", _DRIFT[record.quality.measure]),
        *([] if complete else [("Not drawn", why)]),
    ]
    return Section(
        anchor,
        safe_text(folder.resolve().name),
        pictures_of(learner_figures(record) if complete else (), anchor),
        details=list(_matrices(record)),
        facts=facts,
        tables=[task_table(record)],
        kind="Learner",
    )


_MOST_BARS = 30
_DRIFT = {
    "accuracy": "share of the answers on held-out rows that changed since their task was learned",
    "mse": "root mean square change of the answers since their task was learned, over the "
    "deviation of the targets",
}


def _matrices(record: Record) -> Iterator[TextTable]:
    measure = record.quality.measure
    names = [safe_text(entry.name, 40) for entry in record.tasks]
    for scenario, answered in scenarios_of(record).items():
        rows = tables.matrix_rows(matrix_of(answered), measure)
        named = [[name, *row[1:]] for name, row in zip(names, rows, strict=True)]
        title = f"{SCALES[measure].name.capitalize()} matrix, {scenario} scenario"
        yield TextTable(title, ["after task", *names], named)
