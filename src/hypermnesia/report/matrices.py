"""Figures of task matrices: accuracy, accuracy over time, task confusion, embedding transfer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hypermnesia import metrics
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.metrics import Counts, Matrix
from hypermnesia.report import Drawn
from hypermnesia.report.canvas import (
    COLOUR_MAP,
    NARROW,
    SMALL,
    label_axes,
    legend_below,
    line_style,
    new_axes,
    seed_count,
    task_axis,
    write_on,
)
from hypermnesia.training.logs import spread_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_WITH_DECIMALS, _WITH_VALUES, _TICKS = 5, 12, 10


def cells(percent: Matrix, tasks: Sequence[int], x: str, y: str) -> Figure:
    """Draw a (T, T) matrix of percentages, by task number from 0.

    Cells hold their values or, where there are too many, a colour bar explains the colours.
    """
    figure, axes = new_axes(NARROW * 0.95, NARROW)
    image = axes.imshow(percent, cmap=COLOUR_MAP, vmin=0, vmax=100)
    label_axes(axes, x, y)
    step = -(-len(tasks) // _TICKS)
    places = range(0, len(tasks), step)
    labels = [str(tasks[place] + 1) for place in places]
    axes.set_xticks(places, labels)
    axes.set_yticks(places, labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(tasks) <= _WITH_VALUES:
        _write(axes, percent)
    else:
        bar = figure.colorbar(image, ax=axes, shrink=0.8)
        bar.ax.tick_params(labelsize=SMALL)
        bar.set_label("%", fontsize=SMALL)
    return figure


def _write(axes: Axes, percent: Matrix) -> None:
    digits = 1 if len(percent) <= _WITH_DECIMALS else 0
    for row, values in enumerate(percent):
        for column, value in enumerate(values):
            write_on(axes.text(column, row, f"{value:.{digits}f}"), value / 100)


_MOST_NUMBERS = 10  # tasks whose cells have room for a number


def accuracy_matrix(scenario: ScenarioName, matrix: Matrix, seeds: int) -> Drawn:
    """Draw R as a heat map from 0 to 100 percent, so that figures compare.

    Args:
        scenario: in which accuracies were measured.
        matrix: (T, T) percent, mean over seeds; NaN where not measured.
        seeds: number of seeds.
    """
    figure, axes = new_axes(height=3.6)
    tasks = len(matrix)
    edges = (0.5, tasks + 0.5, tasks + 0.5, 0.5)
    image = axes.imshow(matrix, vmin=0, vmax=100, extent=edges, interpolation="none")
    task_axis(axes.xaxis, "accuracy on task")
    task_axis(axes.yaxis, "after learning task")
    if tasks <= _MOST_NUMBERS:
        _number(axes, matrix)
    figure.colorbar(image, ax=axes, label="accuracy %", fraction=0.046)
    title = f"Accuracy matrix, {scenario} scenario"
    return Drawn(f"accuracy-matrix-{scenario}", title, _matrix_text(matrix, seeds), figure)


def _number(axes: Axes, matrix: Matrix) -> None:
    for (row, column), value in np.ndenumerate(matrix):
        if not math.isnan(value):
            write_on(axes.text(column + 1, row + 1, f"{value:.3g}"), value / 100)


def _matrix_text(matrix: Matrix, seeds: int) -> str:
    last = matrix[-1]
    worst, best = int(last.argmin()), int(last.argmax())
    return (
        f"A row for each task learned, a column for each task evaluated, accuracy in percent, mean "
        f"of {seed_count(seeds)}. After the last of {len(matrix)} tasks it is "
        f"{metrics.acc(matrix):.2f} on average: from {last[worst]:.2f} on task {worst + 1} to "
        f"{last[best]:.2f} on task {best + 1}."
    )


_MOST_LINES = 8


def accuracy_over_time(scenario: ScenarioName, matrix: Matrix, seeds: int) -> Drawn | None:
    """Draw accuracy over time, a line for each task and one for their mean.

    Args:
        scenario: in which accuracies were measured.
        matrix: (T, T) percent, mean over seeds; NaN where not measured.
        seeds: number of seeds.

    Returns:
        None where accuracies were measured only once.
    """
    if (~np.isnan(matrix)).any(axis=1).sum() < 2:
        return None
    figure, axes = new_axes()
    learned, shown = np.arange(1, len(matrix) + 1), spread_out(len(matrix), _MOST_LINES)
    for index, task in enumerate(shown):
        axes.plot(
            learned, matrix[:, task], **line_style(index, len(matrix)), label=f"task {task + 1}"
        )
    mean = [row[: i + 1].mean() for i, row in enumerate(matrix)]
    axes.plot(learned, mean, "--", color="black", linewidth=1.4, label="mean of all seen")
    lowest = 10 * min(9, math.floor(np.nanmin(matrix) / 10))
    axes.set(ylabel="accuracy %", ylim=(lowest - 1, 101))
    task_axis(axes.xaxis, "tasks learned")
    legend_below(figure, axes)
    title = f"Accuracy of each task over time, {scenario} scenario"
    text = _over_time_text(matrix, mean, shown, seeds)
    return Drawn(f"accuracy-over-time-{scenario}", title, text, figure)


def _over_time_text(matrix: Matrix, mean: list[float], shown: Sequence[int], seeds: int) -> str:
    some = "" if len(shown) == len(matrix) else f" for {len(shown)} of the {len(matrix)} tasks"
    lines = "; ".join(
        f"task {task + 1} {matrix[task, task]:.2f} when learned and {matrix[-1, task]:.2f} at the "
        f"end"
        for task in shown
    )
    return (
        f"Accuracy in percent after each task learned, a line for each task{some}, mean of "
        f"{seed_count(seeds)}: {lines}. The mean over all tasks seen goes from "
        f"{mean[0]:.2f} to {mean[-1]:.2f}."
    )


def task_confusion(counts: Counts, scenarios: Sequence[str], samples: str = "test") -> Drawn:
    """Draw the confusion matrix of true and inferred task.

    Args:
        counts: (T, T) number of samples of task j that were assigned to task k.
        scenarios: the scenarios with these counts.
        samples: test or validation.
    """
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
    figure = cells(percent, range(len(counts)), "answered with task", "own task")
    name = "-".join(("task-confusion", *scenarios))
    return Drawn(name, f"Task confusion ({where})", text + _mistake(percent), figure)


def _mistake(percent: Matrix) -> str:
    wrong = percent - np.diag(np.diagonal(percent))
    if not wrong.any():
        return ""
    j, k = np.unravel_index(wrong.argmax(), wrong.shape)
    return f" The most frequent mistake: task {j + 1} for {k + 1}, {wrong[j, k]:.2f} %."


def embedding_transfer(
    matrix: Matrix, tasks: Sequence[int], chance: float, samples: str = "test"
) -> Drawn:
    """Draw the embedding transfer matrix.

    Args:
        matrix: (n, n) percent, of the i-th embedding on the j-th task; n >= 2.
        tasks: their numbers, from 0.
        chance: percent of guessing.
        samples: test or validation.
    """
    earlier = matrix[np.tril_indices(len(matrix), -1)].mean()
    later = matrix[np.triu_indices(len(matrix), 1)].mean()
    text = (
        f"Accuracy in percent of each task's embedding (rows) on each task (columns), among the "
        f"classes of one task; {samples} samples, after the last task; tasks "
        f"{', '.join(str(task + 1) for task in tasks)}. An embedding has "
        f"{np.diagonal(matrix).mean():.2f} % on its own task (mean), {earlier:.2f} % on tasks that "
        f"were learned before it (below the diagonal) and {later:.2f} % on later ones; guessing "
        f"gives {chance:.2f} %."
    )
    figure = cells(matrix, tasks, "task", "embedding of task")
    return Drawn("embedding-transfer", "Embedding transfer", text, figure)
