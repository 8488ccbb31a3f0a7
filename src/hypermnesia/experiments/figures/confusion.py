"""Which task each sample was answered with, against its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hypermnesia.experiments.figures import Drawn
from hypermnesia.experiments.figures.cells import cells
from hypermnesia.metrics import Counts, Matrix


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
