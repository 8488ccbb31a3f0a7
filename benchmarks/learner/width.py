"""How wide a hypernetwork's features should be: `python -m benchmarks.learner.width`.

Permuted MNIST, pixels in another order for each task, learned by hypernetworks with as many values
as the network has weights, all of them with the learner's defaults. Training images only: the last
3,000 of 9,000 are held out to measure by. Needs MNIST (HYPERMNESIA_DATA).
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch
from torch import nn

from hypermnesia import ContinualLearner
from hypermnesia.data.datasets import load
from hypermnesia.learner import design


def measure(width: int, tasks: int, iterations: int, seed: int) -> dict[str, object]:
    """Learn so many tasks; mean accuracies in percent, just learned and at the end."""
    images, rng = load("mnist"), np.random.default_rng(seed)
    chosen = rng.permutation(len(images.train_y))[:9000]
    x, y = images.train_x[chosen].flatten(1) / images.scale, images.train_y[chosen]
    torch.manual_seed(seed)
    layers = nn.Linear(784, 120), nn.ReLU(), nn.Linear(120, 120), nn.ReLU(), nn.Linear(120, 10)
    design._WIDTHS = (width,)
    learner = ContinualLearner(nn.Sequential(*layers), None, seed=seed, iterations=iterations)
    orders = [torch.arange(784), *(torch.as_tensor(rng.permutation(784)) for _ in range(tasks - 1))]
    start, learned = time.process_time(), []
    for task, order in enumerate(orders):
        learner.fit(x[:6000, order], y[:6000], task=task)
        learned.append(100 * learner.score(x[6000:, order], y[6000:], task=task))
    end = [100 * learner.score(x[6000:, o], y[6000:], task=t) for t, o in enumerate(orders)]
    return {
        "width": width,
        "tasks": tasks,
        "iterations": iterations,
        "seed": seed,
        "learned": round(float(np.mean(learned)), 2),
        "end": round(float(np.mean(end)), 2),
        "last": round(learned[-1], 2),
        "kept": learner._learned.method.kept,
        "seconds": round(time.process_time() - start, 1),
    }


def main() -> None:
    """Print a line of JSON for each width and number of tasks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", default="32,16,8")
    parser.add_argument("--tasks", default="5,20")
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--seed", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for tasks in map(int, given.tasks.split(",")):
        for width in map(int, given.widths.split(",")):
            print(json.dumps(measure(width, tasks, given.iterations, given.seed)), flush=True)


if __name__ == "__main__":
    main()
