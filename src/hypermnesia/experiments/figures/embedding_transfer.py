"""How well the embedding of each task does on the other tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hypermnesia.experiments.figures import Drawn
from hypermnesia.experiments.figures.cells import cells
from hypermnesia.metrics import Matrix


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
