"""What a `ContinualLearner` learns, by its public name alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

from golden.summaries import in_order
from hypermnesia import ContinualLearner
from hypermnesia.learner import design

_TASKS = {"low": (0, 1, 2), "middle": (3, 4), "high": (5, 6, 7, 8)}
_QUICK = {"iterations": 60, "batch_size": 32, "lr": 0.01}

LEARNERS = (
    *("given", "likelihood", "entropy", "convolutions", "early", "shared", "continued"),
    *("values", "values-likelihood", "values-continued"),
)
"""Names of what is learned."""


def mlp() -> nn.Module:
    """The same at each call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(64, 12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, 3))


def convolutions() -> nn.Module:
    """With batch-norm."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(96, 3),
        )


def learned(name: str, folder: Path) -> dict[str, Any]:
    """Teach a learner, ask it, save and load it, and ask again."""
    model = convolutions if name == "convolutions" else mlp
    with patch.object(design, "SMALLEST", 4000):  # as when the values were kept
        made = _taught(name, model())
    answers = _asked(made, name)
    made.save(folder / "learner")
    again = _asked(ContinualLearner.load(folder / "learner", model()), name)
    assert again == answers, "a learner that was loaded answers otherwise"
    return answers


def _taught(name: str, model: nn.Module) -> ContinualLearner:
    own: dict[str, Any] = {
        "given": {},
        "likelihood": {"infer_task": "likelihood"},
        "entropy": {"infer_task": "entropy", "compression": 3.0},
        "convolutions": {"infer_task": "entropy", "iterations": 20},
        "early": {"patience": 50, "iterations": 250, "lr": 0.03, "validation": 0.2},
        "shared": {"generated": ["3.*"], "beta": 1.0},
        "continued": {"validation": 0.0},
        "values": {},
        "values-likelihood": {"infer_task": "likelihood"},
        "values-continued": {"seed": 1},
    }[name]
    made = ContinualLearner(model, **{"infer_task": None, "beta": 0.1, **_QUICK, **own})
    known = [*_TASKS, "low"] if name.endswith("continued") else [*_TASKS]
    for turn, task in enumerate(known):
        x, y = _data(name, task, range(1, 4) if turn < len(_TASKS) else range(4, 5))
        made.fit(x, y, task=task)
    return made


def _data(name: str, task: str, fifths: range) -> tuple[NDArray[Any], NDArray[Any]]:
    """Some fifths of a task's digits: their labels or, in regression, two columns' brightness."""
    x, y = load_digits(return_X_y=True)
    of_task = np.flatnonzero(np.isin(y, _TASKS[task]))
    rows = of_task[np.isin(np.arange(len(of_task)) % 5, [*fifths])]
    x, y = (x[rows] / 16).astype(np.float32), y[rows]
    images = x.reshape(-1, 1, 8, 8)
    if name.startswith("values"):
        y = 10 * images[:, 0, :, 3:5].mean(axis=1)
    else:
        y = np.array([f"digit {digit}" for digit in y])
    return (images if name == "convolutions" else x), y


def _asked(made: ContinualLearner, name: str) -> dict[str, Any]:
    """What it answers to samples that it has not learned from."""
    new = {task: _data(name, task, range(1)) for task in made.tasks}
    found: dict[str, Any] = {
        "tasks": {task: _of_task(made, name, task, *new[task]) for task in new}
    }
    if made.settings.infer_task is not None:
        x = np.concatenate([x for x, _ in new.values()])
        tasks, confidence = made.predict_task(x)
        found["unknown"] = {
            "inferred": {"predictions": tasks.tolist()},
            "confidence": in_order([torch.from_numpy(confidence)]),
            **_answers(made, name, x, None),
        }
    return found


def _of_task(
    made: ContinualLearner, name: str, task: str, x: NDArray[Any], y: NDArray[Any]
) -> dict[str, Any]:
    score = float(made.score(x, y, task=task))
    told = {"r2": score} if name.startswith("values") else {"samples": [len(y)], "accuracy": score}
    return {
        "score": told,
        "network": in_order(made.export(task).state_dict().values()),
        **_answers(made, name, x, task),
    }


def _answers(
    made: ContinualLearner, name: str, x: NDArray[Any], task: str | None
) -> dict[str, Any]:
    if name.startswith("values"):
        return {"values": in_order([torch.from_numpy(made.predict(x, task))])}
    return {
        "predictions": made.predict(x, task).tolist(),
        "probabilities": in_order([torch.from_numpy(made.predict_proba(x, task))]),
    }
