"""How well each task's embedding does on the other tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hypermnesia.data.types import Part
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.metrics import Matrix
from hypermnesia.training.evaluate import evaluate


def transfer_matrix(method: HypernetMethod, parts: Sequence[Part]) -> Matrix:
    """E[i, j]: accuracy, in percent, of the i-th task's embedding on the samples of the j-th.

    Its network answers in the task scenario: among the classes of one task, counted from 0. The
    diagonal is the last row of that scenario's accuracy matrix.

    Args:
        method: has learned the tasks.
        parts: samples of some of its tasks, or of all.
    """
    rows = [
        # Whose task they are said to be decides who answers.
        [evaluate(method, replace(part, task=own.task), "task").accuracy for part in parts]
        for own in parts
    ]
    return np.array(rows, dtype=np.float64)
