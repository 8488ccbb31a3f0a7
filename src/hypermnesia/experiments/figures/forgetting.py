"""How far each task fell, methods beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hypermnesia import metrics
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.experiments.figures import Drawn
from hypermnesia.experiments.figures.canvas import (
    canvas,
    count_tasks,
    legend_below,
    line_style,
    mean_and_error,
)
from hypermnesia.metrics import Matrix


def forgetting(scenario: ScenarioName, matrices: Mapping[str, Sequence[Matrix]]) -> Drawn | None:
    """A line for each run: points that each task but the last one fell from its best to the end.

    Args:
        scenario: the one in which accuracies were measured.
        matrices: by label of a run, (T, T) percent for each seed; none if it has no part in this.

    Returns:
        None where no run measured it.
    """
    points = {
        label: np.array([metrics.forgetting_by_task(matrix) for matrix in by_seed])
        for label, by_seed in matrices.items()
        if by_seed
    }
    measured = {label: v for label, v in points.items() if not np.isnan(v.mean(axis=0)).all()}
    if not measured:
        return None
    figure, axes = canvas()
    for index, label in enumerate(matrices):  # its colour does not depend on what others measured
        if label in measured:
            means, errors = mean_and_error(measured[label])
            tasks, style = np.arange(1, len(means) + 1), line_style(index, len(means))
            axes.errorbar(tasks, means, errors, **style, capsize=2, label=label)
    axes.set_ylabel("points that it fell")
    axes.set_ylim(bottom=min(-0.5, axes.get_ylim()[0]))
    count_tasks(axes.xaxis, "task")
    legend_below(figure, axes)
    title = f"Forgetting, {scenario} scenario"
    return Drawn(f"forgetting-{scenario}", title, _text(measured), figure)


def _text(points: Mapping[str, NDArray[np.float64]]) -> str:
    return (
        "Points in percent by which the accuracy on each task but the last one fell, from its best "
        "to the end; 0 is best. Mean over tasks, with the standard error over seeds: "
        + "; ".join(f"{label} {_of(values)}" for label, values in points.items())
        + "."
    )


def _of(values: NDArray[np.float64]) -> str:
    means = values.mean(axis=0)
    worst = int(np.nanargmax(means))
    over_tasks = metrics.over_seeds(values.mean(axis=1).tolist()).text()
    return f"{over_tasks}, at most {means[worst]:.2f} (task {worst + 1})"
