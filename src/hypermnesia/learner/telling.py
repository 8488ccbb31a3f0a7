"""How good a learner is, and what it knows, in figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypermnesia.learner.knowledge import Knowledge
from hypermnesia.learner.labels import listed, plain


def scored(knowledge: Knowledge, answers: NDArray[Any], given: Any) -> float:
    """The share of right labels or, in regression, R²: what scikit-learn's estimators score by."""
    if knowledge.design.problem == "regression":
        from sklearn.metrics import r2_score  # type: ignore[import-untyped]  # slow to import

        return float(r2_score(np.asarray(given), answers))
    right = [a == plain(b) for a, b in zip(answers.tolist(), listed(given), strict=True)]
    return float(np.mean(right))


def summary(knowledge: Knowledge) -> str:
    """A line for each task, and one for all."""
    rows: list[tuple[str, ...]] = [("task", "outputs", "samples", "updates")]
    for record in knowledge.records:
        counts = (record.targets.outputs, record.samples, record.updates)
        rows.append((str(record.name), *map(str, counts)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    memories, tasks = knowledge.method.memories.values(), len(knowledge.records)
    share = sum(memory.kept for memory in memories) / sum(memory.largest for memory in memories)
    kept = f"{share:.2f} of the learned values of one task's networks"
    return "\n".join([*lines, f"{knowledge.design.problem}; {tasks} tasks kept in {kept}"])
