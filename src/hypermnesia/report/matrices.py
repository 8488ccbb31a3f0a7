"""Figures of one run: matrices of tasks, accuracy over time, tasks inferred, reliability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypermnesia import metrics
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.metrics import Counts, Matrix
from hypermnesia.report import canvas
from hypermnesia.report.canvas import SCALES, Drawn, Scale, seed_count
from hypermnesia.training.logs import spread_out
from hypermnesia.training.phases import Measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WITH_DECIMALS, _WITH_VALUES, _TICKS = 5, 12, 10  # tasks of a matrix, and labels on its axes
_MOST_NUMBERS = 10  # tasks whose cells have room for a number
_MOST_LINES = 8


def _whole_rows(matrix: Matrix) -> NDArray[np.intp]:
    """Return the rows of R in which every task seen was evaluated."""
    seen = np.tri(len(matrix), dtype=bool)
    return np.flatnonzero(~(np.isnan(matrix) & seen).any(axis=1))


def _top(matrix: Matrix, scale: Scale) -> float:
    """Return the value with the brightest colour."""
    return scale.top or float(np.nanmax(matrix)) or 1.0


def _cells(matrix: Matrix, tasks: Sequence[int], x: str, y: str, measure: Measure) -> Figure:
    """Draw a (T, T) matrix, by task number from 0.

    Cells hold their values or, where there are too many, a colour bar explains the colours.
    """
    top = _top(matrix, SCALES[measure])
    figure, axes = canvas.new_axes(canvas.NARROW * 0.95, canvas.NARROW)
    image = axes.imshow(matrix, cmap=canvas.COLOUR_MAP, vmin=0, vmax=top)
    canvas.label_axes(axes, x, y)
    places = range(0, len(tasks), -(-len(tasks) // _TICKS))
    labels = [str(tasks[place] + 1) for place in places]
    axes.set_xticks(places, labels)
    axes.set_yticks(places, labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(tasks) <= _WITH_VALUES:
        digits = (1 if len(tasks) <= _WITH_DECIMALS else 0) + (measure == "mse")
        for (row, column), value in np.ndenumerate(matrix):
            canvas.write_on(axes.text(column, row, f"{value:.{digits}f}"), value / top)
    else:
        bar = figure.colorbar(image, ax=axes, shrink=0.8)
        bar.ax.tick_params(labelsize=canvas.SMALL)
        bar.set_label(
            "%" if measure == "accuracy" else SCALES[measure].label, fontsize=canvas.SMALL
        )
    return figure


def accuracy_matrix(
    scenario: ScenarioName, matrix: Matrix, seeds: int, measure: Measure = "accuracy"
) -> Drawn:
    """Draw (T, T) R, a mean over seeds, as a heat map; accuracies from 0 to 100 %, to compare."""
    scale, tasks = SCALES[measure], len(matrix)
    top = _top(matrix, scale)
    figure, axes = canvas.new_axes(height=3.6)
    # Where not all tasks were evaluated after each, of the rows only those in which they were.
    rows = np.arange(tasks) if len(whole := _whole_rows(matrix)) < 2 else whole
    shown = matrix[rows]
    edges = (0.5, tasks + 0.5, len(rows) + 0.5, 0.5)
    look: dict[str, Any] = {"interpolation": "none", "aspect": tasks / len(rows)}
    image = axes.imshow(shown, vmin=0, vmax=top, extent=edges, **look)
    canvas.task_axis(axes.xaxis, f"{scale.name} on task")
    canvas.task_axis(axes.yaxis, "after learning task")
    if len(rows) < tasks:
        places = spread_out(len(rows), _TICKS)
        axes.set_yticks([place + 1 for place in places], [str(rows[place] + 1) for place in places])
    for (row, column), value in np.ndenumerate(shown):
        if tasks <= _MOST_NUMBERS and not math.isnan(value):
            canvas.write_on(axes.text(column + 1, row + 1, f"{value:.3g}"), value / top)
    figure.colorbar(image, ax=axes, label=scale.label, fraction=0.046)
    last = matrix[-1]
    low, high = int(last.argmin()), int(last.argmax())
    some = "" if len(rows) == tasks else " after which all seen were evaluated"
    text = (
        f"A row for each task learned{some}, a column for each task evaluated, {scale.words}, mean "
        f"of {seed_count(seeds)}. After the last of {tasks} tasks it is "
        f"{scale.text(metrics.acc(matrix))} on average: from {scale.text(last[low])} on task "
        f"{low + 1} to {scale.text(last[high])} on task {high + 1}."
    )
    title = f"{scale.name.capitalize()} matrix, {scenario} scenario"
    return Drawn(f"{_slug(scale)}-matrix-{scenario}", title, text, figure)


def _slug(scale: Scale) -> str:
    return scale.name.replace(" ", "-")


def accuracy_over_time(
    scenario: ScenarioName, matrix: Matrix, seeds: int, measure: Measure = "accuracy"
) -> Drawn | None:
    """Draw (T, T) R, a line for each task and one for their mean; None if measured only once."""
    if (~np.isnan(matrix)).any(axis=1).sum() < 2:
        return None
    scale, tasks = SCALES[measure], len(matrix)
    figure, axes = canvas.new_axes()
    learned, shown = np.arange(1, tasks + 1), spread_out(tasks, _MOST_LINES)
    for index, task in enumerate(shown):
        known = ~np.isnan(matrix[:, task])
        style = canvas.line_style(index, int(known.sum()))
        axes.plot(learned[known], matrix[known, task], **style, label=f"task {task + 1}")
    whole = _whole_rows(matrix)
    mean = [float(matrix[row, : row + 1].mean()) for row in whole]
    axes.plot(whole + 1, mean, "--", color="black", linewidth=1.4, label="mean of all seen")
    if len(whole) < tasks:
        style = {"color": "black", "linewidth": 0.6, "label": "each when learned"}
        axes.plot(learned, np.diagonal(matrix), **style)
    axes.set_ylabel(scale.label)
    if scale.top is None:
        axes.set_ylim(bottom=0)
    else:
        axes.set_ylim(10 * min(9, math.floor(np.nanmin(matrix) / 10)) - 1, scale.top + 1)
    canvas.task_axis(axes.xaxis, "tasks learned")
    canvas.legend_below(figure, axes)
    title = f"{scale.name.capitalize()} of each task over time, {scenario} scenario"
    text = _over_time_text(matrix, mean, shown, seeds, scale)
    return Drawn(f"{_slug(scale)}-over-time-{scenario}", title, text, figure)


def _over_time_text(
    matrix: Matrix, mean: Sequence[float], shown: Sequence[int], seeds: int, scale: Scale
) -> str:
    some = "" if len(shown) == len(matrix) else f" for {len(shown)} of the {len(matrix)} tasks"
    lines = "; ".join(
        f"task {task + 1} {scale.text(matrix[task, task])} when learned and "
        f"{scale.text(matrix[-1, task])} at the end"
        for task in shown
    )
    return (
        f"{scale.words.capitalize()} after each task learned, a line for each task{some}, mean of "
        f"{seed_count(seeds)}: {lines}. The mean over all tasks seen goes from "
        f"{scale.text(mean[0])} to {scale.text(mean[-1])}."
    )


def task_confusion(counts: Counts, scenarios: Sequence[str], samples: str = "test") -> Drawn:
    """Draw (T, T) numbers of samples of task j that were assigned to task k, in `scenarios`."""
    percent = 100.0 * counts / counts.sum(axis=1, keepdims=True)
    where = " and ".join(scenarios) + (" scenarios" if len(scenarios) > 1 else " scenario")
    own = np.diagonal(percent)
    worst = int(own.argmin())
    text = (
        f"Percent of the samples of each task (rows) that were answered with the network of each "
        f"task (columns), after the last task; {int(counts.sum())} {samples} samples, {where}. "
        f"With their own task: {own.mean():.2f} % (mean of the tasks), least in task "
        f"{worst + 1}, {own[worst]:.2f} %."
    )
    wrong = percent - np.diag(own)
    if wrong.any():
        j, k = np.unravel_index(wrong.argmax(), wrong.shape)
        text += f" The most frequent mistake: task {j + 1} for {k + 1}, {wrong[j, k]:.2f} %."
    figure = _cells(percent, range(len(counts)), "answered with task", "own task", "accuracy")
    name = "-".join(("task-confusion", *scenarios))
    return Drawn(name, f"Task confusion ({where})", text, figure)


def reliability(scenario: ScenarioName, bins: NDArray[np.float64]) -> Drawn:
    """Draw the accuracy of answers against their confidence, of `metrics.reliability_bins`."""
    samples = bins[:, 0]
    used = samples > 0
    sure, right = (100 * bins[used, column] / samples[used] for column in (1, 2))
    figure, axes = canvas.new_axes(canvas.NARROW, canvas.NARROW)
    axes.plot([0, 100], [0, 100], "--", color="black", linewidth=1)
    sizes = 12 + 150 * samples[used] / samples.sum()
    axes.scatter(sure, right, s=sizes, color=canvas.COLOURS[0])
    axes.plot(sure, right, color=canvas.COLOURS[0], linewidth=1)
    canvas.label_axes(axes, "confidence %", "accuracy %")
    distance, most = 100 * metrics.calibration_error(bins), int(samples[used].argmax())
    text = (
        f"Accuracy of the answers against the probability that was given to them, in "
        f"{len(bins)} bins of equal width (a larger point has more samples); on the dashed line "
        f"both agree. Over {int(samples.sum())} samples they are {distance:.2f} points apart on "
        f"average (ECE). Most samples, {int(samples[used][most])}, have a confidence around "
        f"{sure[most]:.1f} % and an accuracy of {right[most]:.1f} %."
    )
    return Drawn(f"reliability-{scenario}", f"Calibration, {scenario} scenario", text, figure)


def embedding_transfer(
    matrix: Matrix, tasks: Sequence[int], chance: float | None, samples: str = "test"
) -> Drawn:
    """Draw the (n, n) measures of the i-th embedding on the j-th task; n >= 2.

    Args:
        matrix: percent or, in regression, mean squared errors.
        tasks: their numbers, from 0.
        chance: percent of guessing; None in regression.
        samples: test or validation.
    """
    measure: Measure = "mse" if chance is None else "accuracy"
    scale, unit = SCALES[measure], "" if chance is None else " %"
    own = scale.text(np.diagonal(matrix).mean())
    earlier = scale.text(matrix[np.tril_indices(len(matrix), -1)].mean())
    later = scale.text(matrix[np.triu_indices(len(matrix), 1)].mean())
    among = "" if chance is None else ", among the classes of one task"
    guessing = "" if chance is None else f"; guessing gives {chance:.2f} %"
    text = (
        f"{scale.words.capitalize()} of each task's embedding (rows) on each task (columns){among};"
        f" {samples} samples, after the last task; tasks "
        f"{', '.join(str(task + 1) for task in tasks)}. An embedding has {own}{unit} on its own "
        f"task (mean), {earlier}{unit} on tasks that were learned before it (below the diagonal) "
        f"and {later}{unit} on later ones{guessing}."
    )
    figure = _cells(matrix, tasks, "task", "embedding of task", measure)
    return Drawn("embedding-transfer", "Embedding transfer", text, figure)
