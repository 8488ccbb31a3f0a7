"""What the outputs of a task's network stand for: classes, or values."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch.nn.functional as F

from hypermnesia.learner.classes import Classes
from hypermnesia.learner.labels import Labels, from_json
from hypermnesia.learner.values import Values
from hypermnesia.methods.base import Loss

Problem = Literal["classification", "regression"]
"""What the outputs of a network can stand for."""

Targets = Classes | Values
"""Of a task: `outputs` of its network, `encode` for the loss, `answer` for the user, and so on."""

LOSSES: dict[Problem, Loss] = {"classification": F.cross_entropy, "regression": F.mse_loss}
"""What a network is trained by, for each problem."""


def restored(stored: dict[str, Any]) -> Targets:
    """The targets that were `stored`.

    Raises:
        KeyError: it is something else.
    """
    if "labels" in stored:
        return Classes(Labels(map(from_json, stored["labels"])))
    return Values(stored["mean"], stored["spread"], single=stored["single"])


def problem_of(given: Any) -> Problem:
    """Regression for floating-point targets, classification for any others."""
    first = next(iter(given), None)
    kind = np.asarray(first).dtype.kind
    return "regression" if kind == "f" else "classification"


def targets_of(problem: Problem, given: Any) -> Targets:
    """The targets of a new task."""
    return (Classes if problem == "classification" else Values).of(given)
