"""Matrices of tasks as figures: accuracy, accuracy over time, confusion, embedding transfer."""

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
    INK,
    SMALL,
    WIDTH,
    canvas,
    count_tasks,
    legend_below,
    line_style,
    name_axes,
    seeds_told,
    sheet,
    type_on,
)
from hypermnesia.training.logs import spread_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


_WITH_DECIMALS, _WITH_VALUES, _TICKS = 5, 12, 10


def cells(percent: Matrix, tasks: Sequence[int], x: str, y: str) -> Figure:
    """The (T, T) `percent` of `tasks` (counted from 0), a row of cells for each.

    Where there are too many to write the values into the cells, a bar tells the colours.
    """
    figure = sheet(WIDTH * 0.95)
    axes = figure.add_subplot()
    image = axes.imshow(percent, cmap=COLOUR_MAP, vmin=0, vmax=100)
    name_axes(axes, x, y)
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
        _explain(figure, axes, image)
    return figure


def _write(axes: Axes, percent: Matrix) -> None:
    digits = 1 if len(percent) <= _WITH_DECIMALS else 0
    for row, values in enumerate(percent):
        for column, value in enumerate(values):
            text = axes.text(column, row, f"{value:.{digits}f}", ha="center", va="center")
            text.set(color=type_on(value / 100), fontsize=SMALL)


def _explain(figure: Figure, axes: Axes, image: AxesImage) -> None:
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.set_label("%", fontsize=SMALL, color=INK)


_MOST_NUMBERS = 10  # tasks whose cells have room for a number
_BRIGHT = 45.0  # percent from which black stands out from a cell more than white does


def accuracy_matrix(scenario: ScenarioName, matrix: Matrix, seeds: int) -> Drawn:
    """R as a heat map, from 0 to 100 percent in every figure, so that they compare.

    Args:
        scenario: the one in which accuracies were measured.
        matrix: (T, T) percent, mean over seeds; NaN where not measured.
        seeds: how many.
    """
    figure, axes = canvas(height=3.6)
    tasks = len(matrix)
    edges = (0.5, tasks + 0.5, tasks + 0.5, 0.5)
    image = axes.imshow(matrix, vmin=0, vmax=100, extent=edges, interpolation="none")
    count_tasks(axes.xaxis, "accuracy on task")
    count_tasks(axes.yaxis, "after learning task")
    if tasks <= _MOST_NUMBERS:
        _number(axes, matrix)
    figure.colorbar(image, ax=axes, label="accuracy %", fraction=0.046)
    title = f"Accuracy matrix, {scenario} scenario"
    return Drawn(f"accuracy-matrix-{scenario}", title, _matrix_text(matrix, seeds), figure)


def _number(axes: Axes, matrix: Matrix) -> None:
    for (row, column), value in np.ndenumerate(matrix):
        if not math.isnan(value):
            text, colour = f"{value:.3g}", "black" if value > _BRIGHT else "white"
            axes.text(column + 1, row + 1, text, color=colour, ha="center", va="center", size=8)


def _matrix_text(matrix: Matrix, seeds: int) -> str:
    last = matrix[-1]
    worst, best = int(last.argmin()), int(last.argmax())
    return (
        f"A row for each task learned, a column for each task evaluated, accuracy in percent, mean "
        f"of {seeds_told(seeds)}. After the last of {len(matrix)} tasks it is "
        f"{metrics.acc(matrix):.2f} on average: from {last[worst]:.2f} on task {worst + 1} to "
        f"{last[best]:.2f} on task {best + 1}."
    )


_MOST_LINES = 8


def accuracy_over_time(scenario: ScenarioName, matrix: Matrix, seeds: int) -> Drawn | None:
    """A line for each task, from where it was learned to the end, and their mean.

    Args:
        scenario: the one in which accuracies were measured.
        matrix: (T, T) percent, mean over seeds; NaN where not measured.
        seeds: how many.

    Returns:
        None where accuracies were measured once only.
    """
    if (~np.isnan(matrix)).any(axis=1).sum() < 2:
        return None
    figure, axes = canvas()
    learned, shown = np.arange(1, len(matrix) + 1), spread_out(len(matrix), _MOST_LINES)
    for index, task in enumerate(shown):
        axes.plot(
            learned, matrix[:, task], **line_style(index, len(matrix)), label=f"task {task + 1}"
        )
    mean = [row[: i + 1].mean() for i, row in enumerate(matrix)]
    axes.plot(learned, mean, "--", color="black", linewidth=1.4, label="mean of all seen")
    lowest = 10 * min(9, math.floor(np.nanmin(matrix) / 10))
    axes.set(ylabel="accuracy %", ylim=(lowest - 1, 101))
    count_tasks(axes.xaxis, "tasks learned")
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
        f"{seeds_told(seeds)}: {lines}. The mean over all tasks seen goes from "
        f"{mean[0]:.2f} to {mean[-1]:.2f}."
    )


def task_confusion(counts: Counts, scenarios: Sequence[str], samples: str = "test") -> Drawn:
    """The confusion of inferred against true task.

    Args:
        counts: (T, T) number of samples of task j that were answered with task k.
        scenarios: those in which it is so.
        samples: what they were: test or validation.
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
    """The embedding transfer matrix.

    Args:
        matrix: (n, n) percent, of the i-th embedding on the j-th task; n of 2 or more.
        tasks: their numbers, from 0.
        chance: percent that guessing gives.
        samples: what it was measured on: test or validation.
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
