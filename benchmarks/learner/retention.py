"""What is left of each task after the last: `python -m benchmarks.learner.retention`."""

from __future__ import annotations

import argparse
import json
import time
import warnings

import numpy as np
import torch

from benchmarks.learner.made import MADE
from benchmarks.learner.streams import STREAMS, seeded_model
from hypermnesia import ContinualLearner

ALL = {**STREAMS, **MADE}


def measure(name: str, seed: int, settings: dict[str, object]) -> dict[str, object]:
    """Learn a stream; accuracies in percent, seconds, and what was warned of."""
    stream, start = ALL[name], time.perf_counter()
    learner = ContinualLearner(seeded_model(stream, seed), None, seed=seed, **settings)
    tasks, learned = list(stream.tasks(seed)), []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for task in tasks:
            learner.fit(task.x, task.y, task=task.name)
            learned.append(100 * learner.score(task.test_x, task.test_y, task=task.name))
    end = [100 * learner.score(t.test_x, t.test_y, task=t.name) for t in tasks]
    return {
        "stream": name,
        "seed": seed,
        "learned": np.round(learned, 1).tolist(),
        "end": np.round(end, 1).tolist(),
        "mean": round(100 * float(np.mean(end) / np.mean(learned)), 1),
        "worst": round(100 * min(a / b for a, b in zip(end, learned, strict=True)), 1),
        "kept": learner._learned.method.kept,
        "warned": [str(each.message)[:200] for each in caught],
        "seconds": round(time.perf_counter() - start, 1),
    }


def main() -> None:
    """Print a line of JSON for each stream and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("streams", nargs="*", default=list(ALL))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", default="{}", help="settings of the learner, as JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.streams:
        for seed in map(int, given.seeds.split(",")):
            print(json.dumps(measure(name, seed, json.loads(given.set))), flush=True)


if __name__ == "__main__":
    main()
