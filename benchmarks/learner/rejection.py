"""What is none of the tasks: `python -m benchmarks.learner.rejection`."""

from __future__ import annotations

import argparse
import json

import numpy as np
import torch
from sklearn import datasets
from sklearn.metrics import roc_auc_score

from benchmarks.learner.streams import divided, mlp
from hypermnesia import ContinualLearner

PAIRS = {
    "01234 as 5 tasks": ((0,), (1,), (2,), (3,), (4,)),
    "01234 as 2 tasks": ((0, 1), (2, 3, 4)),
}


def measure(tasks: str, seed: int, settings: dict[str, object]) -> dict[str, object]:
    """Learn digits 0 to 4, show 5 to 9 and noise; AUROC of log p(x), shares rejected in percent."""
    x, y = datasets.load_digits(return_X_y=True)
    x, rng = (x / 16).astype(np.float32), np.random.default_rng(seed)
    torch.manual_seed(seed)
    learner, known = ContinualLearner(mlp(), seed=seed, **settings), []
    for digits in PAIRS[tasks]:
        own = np.isin(y, digits)
        task = divided(str(digits), x[own], y[own], seed)
        learner.fit(task.x, task.y, task=task.name)
        known.append(task.test_x)
    shown = np.concatenate(known)
    others = {"digits": x[y > 4], "noise": rng.random((1000, 64), dtype=np.float32)}
    found: dict[str, object] = {"tasks": tasks, "seed": seed, "known": _rejected(learner, shown)}
    for name, strange in others.items():
        scores = learner.score_samples(np.concatenate([shown, strange]))
        truth = np.arange(len(scores)) < len(shown)
        found[f"auroc {name}"] = round(float(roc_auc_score(truth, scores)), 4)
        found[f"rejected {name}"] = _rejected(learner, strange)
    return found


def _rejected(learner: ContinualLearner, x: np.ndarray) -> float:
    told = learner.predict_task(x, reject=0.05).tasks
    return round(100 * float(np.mean([task is None for task in told])), 1)


def main() -> None:
    """Print a line of JSON for each number of tasks and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", default="{}", help="settings of the learner, as JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for tasks in PAIRS:
        for seed in map(int, given.seeds.split(",")):
            print(json.dumps(measure(tasks, seed, json.loads(given.set))), flush=True)


if __name__ == "__main__":
    main()
