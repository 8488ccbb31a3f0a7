"""Small models, data and learners for the tests of `ContinualLearner`."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from hypermnesia import ContinualLearner

QUICK = {"iterations": 60, "batch_size": 16, "lr": 0.01}


def mlp(inputs: int = 6, outputs: int = 2) -> nn.Sequential:
    """With batch-norm and dropout, so that buffers and randomness matter."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(inputs, 12),
            nn.BatchNorm1d(12),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(12, outputs),
        )


def clouds(
    task: int, classes: int = 2, n: int = 90, inputs: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """(n, inputs) float32 points around centres of the task's own, and their classes from 0."""
    rng = np.random.default_rng(task)
    centres = 3 * rng.standard_normal((classes, inputs))
    y = np.arange(n) % classes
    return (centres[y] + 0.3 * rng.standard_normal((n, inputs))).astype(np.float32), y


def words(y: np.ndarray, task: int = 0) -> np.ndarray:
    """Classes as strings of the task's own."""
    return np.array([f"class {2 * task + each}" for each in y])


def learner(infer_task: str | None = None, tasks: int = 2, **settings: object) -> ContinualLearner:
    """Learned clouds of two and of three classes in turn, as tasks called a, b, ..."""
    made = ContinualLearner(mlp(), infer_task, **{**QUICK, **settings})
    for task in range(tasks):
        x, y = clouds(task, classes=2 + task % 2)
        made.fit(x, words(y, task), task="abcdef"[task])
    return made


def held(made: ContinualLearner) -> list[np.ndarray]:
    """Everything that a learner of clouds answers, for comparisons bit by bit."""
    x = np.concatenate([clouds(task)[0] for task in range(3)])
    found = [made.predict_proba(x, task) for task in made.tasks]
    if made.settings.infer_task is not None:
        found += [*made.predict_task(x), made.predict_proba(x)]
    return found


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    """Bit by bit."""
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def scores(module: nn.Module, x: np.ndarray) -> torch.Tensor:
    """Of a plain module."""
    with torch.no_grad():
        return module(torch.as_tensor(x))
