"""The accuracy of each task as further ones are learned."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.experiments.figures import Drawn
from hypermnesia.experiments.figures.canvas import (
    canvas,
    count_tasks,
    legend_below,
    line_style,
    seeds_told,
)
from hypermnesia.metrics import Matrix
from hypermnesia.training.samples import spread_out

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
    text = _text(matrix, mean, shown, seeds)
    return Drawn(f"accuracy-over-time-{scenario}", title, text, figure)


def _text(matrix: Matrix, mean: list[float], shown: Sequence[int], seeds: int) -> str:
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
