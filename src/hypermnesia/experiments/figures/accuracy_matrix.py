"""The accuracy matrix as a heat map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hypermnesia import metrics
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.experiments.figures import Drawn
from hypermnesia.experiments.figures.canvas import canvas, count_tasks, seeds_told
from hypermnesia.metrics import Matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    return Drawn(f"accuracy-matrix-{scenario}", title, _text(matrix, seeds), figure)


def _number(axes: Axes, matrix: Matrix) -> None:
    for (row, column), value in np.ndenumerate(matrix):
        if not math.isnan(value):
            text, colour = f"{value:.3g}", "black" if value > _BRIGHT else "white"
            axes.text(column + 1, row + 1, text, color=colour, ha="center", va="center", size=8)


def _text(matrix: Matrix, seeds: int) -> str:
    last = matrix[-1]
    worst, best = int(last.argmin()), int(last.argmax())
    return (
        f"A row for each task learned, a column for each task evaluated, accuracy in percent, mean "
        f"of {seeds_told(seeds)}. After the last of {len(matrix)} tasks it is "
        f"{metrics.acc(matrix):.2f} on average: from {last[worst]:.2f} on task {worst + 1} to "
        f"{last[best]:.2f} on task {best + 1}."
    )
