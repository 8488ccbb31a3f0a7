"""What an answer costs beside the exported network's own: `python -m benchmarks.learner.serving`.

Networks of 50,000 weights, ten tasks, one thread. Each time is the least of many, taken in turns,
so that what else runs on the machine meets all alike.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from hypermnesia import ContinualLearner

TASKS, INPUTS, CLASSES = 10, 64, 5


def network() -> nn.Module:
    """Of 50,085 weights."""
    layers = [nn.Linear(INPUTS, 200), nn.ReLU(), nn.Linear(200, 180), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(180, CLASSES))


def learner(infer_task: str) -> ContinualLearner:
    """Ten tasks of random numbers, as what is learned has no part in the time."""
    made = ContinualLearner(network(), infer_task, iterations=3, validation=0)
    rng = np.random.default_rng(0)
    for task in range(TASKS):
        x = rng.random((60, INPUTS), np.float32)
        made.fit(x, np.arange(60) % CLASSES, task=f"task {task}")
    return made


def seconds(calls: dict[str, Callable[[], object]], rounds: int, each: int) -> dict[str, float]:
    """The least mean time of `each` calls in a row, over all rounds."""
    least = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            start = time.perf_counter()
            for _ in range(each):
                call()
            least[name] = min(least[name], (time.perf_counter() - start) / each)
    return least


def measure(infer_task: str, rounds: int, each: int) -> dict[str, object]:
    """Microseconds of one row, and what they are of the exported network's."""
    made = learner(infer_task)
    frozen, x = made.freeze(), np.random.default_rng(1).random((1, INPUTS), np.float32)
    exported, row = made.export("task 3"), torch.as_tensor(x)

    def alone() -> object:
        with torch.no_grad():
            return exported(row)

    calls = {
        "exported": alone,
        "given": lambda: made.predict(x, "task 3"),
        "given, frozen": lambda: frozen.predict(x, "task 3"),
        "inferred": lambda: made.predict(x),
    }
    least = seconds(calls, rounds, each)
    ratios = {name: round(value / least["exported"], 2) for name, value in least.items()}
    micro = {name: round(1e6 * value, 1) for name, value in least.items()}
    return {"infer_task": infer_task, "microseconds": micro, "ratio": ratios}


def main() -> None:
    """Print a line of JSON for each evidence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("evidence", nargs="*", default=["entropy", "likelihood"])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--each", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.evidence:
        print(json.dumps(measure(name, given.rounds, given.each)), flush=True)


if __name__ == "__main__":
    main()
