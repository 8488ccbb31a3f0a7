"""A task of scikit-learn's digits gets further classes: `python -m benchmarks.learner.extended`.

All by default, and no samples of the old classes in the second fit. Printed are shares of right
answers among all classes of the task, means over seeds, as rows of a table.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from sklearn.datasets import load_digits  # type: ignore[import-untyped]
from torch import nn

from hypermnesia import ContinualLearner

CASES = {
    "0 to 4, then 5 to 9": ([*range(5)], [*range(5, 10)]),
    "0 to 8, then 9": ([*range(9)], [9]),
    "0 and 1, then 2": ([0, 1], [2]),
}
LEARNED = 1200  # rows; the others are tested


def measure(old: list[int], new: list[int], seed: int) -> list[float]:
    """Of old classes before and after, of new ones, and of both where all are learned at once."""
    found = load_digits()
    x, y = (found.data / 16).astype(np.float32), found.target
    learned = np.zeros(len(y), bool)
    learned[np.random.default_rng(seed).permutation(len(y))[:LEARNED]] = True
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 2))

    def fitted(made: ContinualLearner, classes: list[int]) -> ContinualLearner:
        rows = np.isin(y, classes) & learned
        return made.fit(x[rows], y[rows], task="digits", classes=classes)

    def scored(made: ContinualLearner, classes: list[int]) -> float:
        rows = np.isin(y, classes) & ~learned
        return made.score(x[rows], y[rows], task="digits")

    made = fitted(ContinualLearner(model, seed=seed), old)
    before = scored(made, old)
    fitted(made, new)
    joint = fitted(ContinualLearner(model, seed=seed), old + new)
    after = [scored(each, classes) for each in (made, joint) for classes in (old, new)]
    return [before, *after]


def main() -> None:
    """Print a row a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name, case in CASES.items():
        rows = [measure(*case, seed) for seed in range(arguments.seeds)]
        before, old, new, *joint = (f"{100 * each:.1f}" for each in np.mean(rows, axis=0))
        print(f"| {name} | {before} | {old} | {new} | {', '.join(joint)} |", flush=True)


if __name__ == "__main__":
    main()
