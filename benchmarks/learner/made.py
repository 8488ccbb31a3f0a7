"""Streams of five made-up tasks for models as people have them: images, words, curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from torch import nn

from benchmarks.learner.models import Curve, Recurrent, ResNet18, TokenTransformer
from benchmarks.learner.streams import Stream, Task, divided

TASKS = 5


def bright_corners(seed: int) -> Iterator[Task]:
    """Noise of which the second class is bright in a patch, at another place in each task."""
    rng = np.random.default_rng(seed)
    for task, (row, column) in enumerate(rng.permutation(16)[:TASKS, None] // (4, 1) % 4 * 8):
        x, y = rng.random((96, 3, 32, 32), np.float32) / 2, np.arange(96) % 2
        x[y == 1, :, row : row + 8, column : column + 8] += 0.5
        yield divided(f"patch {task}", x, y, seed)


def telling_words(seed: int) -> Iterator[Task]:
    """Eight ids of twelve, one of which tells the class: another pair in each task."""
    rng = np.random.default_rng(seed)
    for task in range(TASKS):
        telling = rng.permutation(12)[:2]
        others = np.setdiff1d(np.arange(12), telling)
        x, y = rng.choice(others, (600, 8)), np.arange(600) % 2
        x[np.arange(600), rng.integers(8, size=600)] = telling[y]
        yield divided(f"words {task}", x, y, seed)


def polynomials(seed: int) -> Iterator[Task]:
    """Noisy points of a cubic of its own a task, all over one interval."""
    rng = np.random.default_rng(seed)
    for task in range(TASKS):
        x = rng.uniform(-1, 1, (300, 1)).astype(np.float32)
        y = np.polynomial.Polynomial(rng.normal(size=4))(2 * x[:, 0])
        y = y + 0.05 * y.std() * rng.normal(size=300)
        yield Task(f"cubic {task}", x[:200], y[:200], x[200:], y[200:])


def _resnet() -> nn.Module:
    return ResNet18(2)


def _of(kind: type[nn.RNNBase]) -> Callable[[], nn.Module]:
    return lambda: Recurrent(kind)


MADE = {
    "resnet": Stream(bright_corners, _resnet),
    "transformer": Stream(telling_words, TokenTransformer),
    "lstm": Stream(telling_words, _of(nn.LSTM)),
    "gru": Stream(telling_words, _of(nn.GRU)),
    "curves": Stream(polynomials, Curve),
}
