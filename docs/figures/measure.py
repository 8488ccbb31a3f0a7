"""Numbers behind the pictures of the concept pages: `python docs/figures/measure.py`, some minutes.

They are written to numbers.json beside this file, from which draw.py draws.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner

NUMBERS = Path(__file__).with_name("numbers.json")
_BETAS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0, "auto")


def digits() -> tuple[Any, ...]:
    """Images, labels, and which images are not learned from: every fifth."""
    x, y = load_digits(return_X_y=True)
    return x / 16, y, np.arange(len(x)) % 5 == 0


def drift() -> Iterator[dict[str, Any]]:
    """For each β, five permutations of the pixels: how well they were learned, and what is left."""
    x, y, new = digits()
    orders = [np.random.default_rng(seed).permutation(64) for seed in range(5)]
    for beta in _BETAS:
        model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
        of = ContinualLearner(model, iterations=400, infer_task=None, beta=beta, compression=2)
        just: list[float] = []
        moved: list[float] = []
        for task, order in enumerate(orders):
            of.fit(x[~new][:, order], y[~new], task=task)
            just.append(of.score(x[new][:, order], y[new], task=task))
            moved += [each.weights for each in of.drift_.values()]
        end = [of.score(x[new][:, order], y[new], task=t) for t, order in enumerate(orders)]
        found = {"moved": np.mean(moved), "just": np.mean(just), "end": np.mean(end)}
        yield {"beta": beta, **{name: float(value) for name, value in found.items()}}


def evidence() -> dict[str, Any]:
    """Log likelihoods of digits of two tasks, of other digits and of noise; shares rejected."""
    x, y, new = digits()
    model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 2))
    of = ContinualLearner(model, iterations=300)
    for pair in range(2):
        rows = (y // 2 == pair) & ~new
        of.fit(x[rows], y[rows], task=pair)
    noise = np.random.default_rng(0).uniform(size=(300, 64))
    kinds = {
        "digits of the two tasks": x[new & (y < 4)],
        "other digits": x[y > 3],
        "noise": noise,
    }
    found: dict[str, Any] = {}
    for name, inputs in kinds.items():
        tasks = of.predict_task(inputs, reject=0.05).tasks
        rejected = float(np.mean([task is None for task in tasks]))
        scores = of.score_samples(inputs)
        found[name] = {"scores": [round(float(s), 1) for s in scores], "rejected": rejected}
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # what a weak β loses is shown
    torch.set_num_threads(1)
    numbers = {"drift": list(drift()), "evidence": evidence()}
    NUMBERS.write_text(json.dumps(numbers) + "\n", "utf-8")
