"""Accuracy without the task, beside rivals: `python -m benchmarks.learner.inference`."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.covariance import ledoit_wolf
from sklearn.ensemble import RandomForestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler
from torch import nn

from benchmarks.learner.streams import STREAMS, Stream, Task, divided, mlp, seeded_model
from hypermnesia import ContinualLearner

BINS, KEPT = 15, 20  # of calibration; replayed samples a class


def wine_and_cancer(seed: int) -> Iterator[Task]:
    """Wine, standardised and padded with zeros to the columns of breast cancer."""
    for name in ("wine", "breast_cancer"):
        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        x = StandardScaler().fit_transform(x)
        yield divided(name, np.pad(x, ((0, 0), (0, 64 - x.shape[1]))).astype(np.float32), y, seed)


ALL = {**STREAMS, "wine, cancer": Stream(wine_and_cancer, mlp)}


def labelled(name: str, seed: int) -> list[Task]:
    """Tasks whose labels are their own, but for digits that are the same at every angle."""
    tasks = list(ALL[name].tasks(seed))
    if "digits" in name:
        return tasks
    return [
        task._replace(
            **{
                kind: np.array([f"{task.name} {y}" for y in getattr(task, kind)])
                for kind in ("y", "test_y")
            }
        )
        for task in tasks
    ]


def calibration_error(shares: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """Mean distance of certainty and accuracy over 15 bins, weighed by samples."""
    sure = shares.max(axis=1)
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    parts = [bins == each for each in range(BINS) if (bins == each).any()]
    return float(sum(p.mean() * abs(sure[p].mean() - right[p].mean()) for p in parts))


def taught(tasks: list[Task], name: str, seed: int, settings: dict[str, Any]) -> ContinualLearner:
    """A learner that was shown all tasks."""
    learner = ContinualLearner(seeded_model(ALL[name], seed), seed=seed, **settings)
    for task in tasks:
        learner.fit(task.x, task.y, task=task.name)
    return learner


def measure(name: str, seed: int, settings: dict[str, Any]) -> dict[str, object]:
    """Learn a stream and answer without the task; percent, but for losses and seconds."""
    tasks, start = labelled(name, seed), time.perf_counter()
    learner = taught(tasks, name, seed, settings)
    known = np.mean([learner.score(t.test_x, t.test_y, task=t.name) for t in tasks])
    inferred = learner.predict_task(np.concatenate([t.test_x for t in tasks]), reject=0.05)
    return {
        "stream": name,
        "seed": seed,
        "by": learner.inference.partition(":")[0],
        **quality(learner, tasks),
        "given": round(100 * float(known), 2),
        "rejected": round(100 * float(np.mean([t is None for t in inferred.tasks])), 2),
        "kept": learner._learned.method.kept,
        "seconds": round(time.perf_counter() - start, 1),
    }


def quality(learner: ContinualLearner, tasks: list[Task]) -> dict[str, float]:
    """Accuracies without the task in percent, calibration error and log loss."""
    x, y = (
        np.concatenate(each) for each in zip(*((t.test_x, t.test_y) for t in tasks), strict=True)
    )
    truth = np.repeat([t.name for t in tasks], [len(t.test_y) for t in tasks])
    shares, classes = learner.predict_proba(x), learner.classes().tolist()
    columns = np.array([classes.index(each) for each in y.tolist()])
    right = shares.argmax(axis=1) == columns
    return {
        "class": round(100 * float(right.mean()), 2),
        "task": round(100 * float((learner.predict_task(x).tasks == truth).mean()), 2),
        "ece": round(calibration_error(shares, right), 4),
        "log loss": round(
            float(-np.log(np.maximum(shares[range(len(y)), columns], 1e-9)).mean()), 3
        ),
    }


def kinds(name: str, seed: int, settings: dict[str, Any]) -> Iterator[dict[str, object]]:
    """Learn a stream once, and answer by every kind of evidence; which `best` and `sum` choose."""
    tasks = labelled(name, seed)
    learner = taught(tasks, name, seed, {**settings, "infer_task": "sum"})
    known = learner._learned
    evidence: Any = known.method.evidence  # type: ignore[attr-defined]
    losses, named = known.calibrations.losses, {"sum": evidence.chosen}
    evidence.choose({kind: losses[kind] for kind in evidence.members})
    named["best"] = evidence.chosen
    for kind in losses:
        evidence.chosen = kind
        of = [way for way, chosen in named.items() if chosen == kind]
        told = {"stream": name, "seed": seed, "kind": kind, "chosen by": of}
        yield {**told, "held-out nats": round(losses[kind], 1), **quality(learner, tasks)}


def rivals(name: str, seed: int) -> dict[str, float]:
    """Class accuracy in percent of what needs no hypernetwork, on the same samples."""
    tasks = labelled(name, seed)
    x, y = (
        np.concatenate(each) for each in zip(*((t.test_x, t.test_y) for t in tasks), strict=True)
    )
    found = {"separate + Gaussian": separate(tasks, x, seed)}
    found |= {"GaussianNB": naive(tasks, x), "replay of 20": replay(tasks, x, seed)}
    found["joint forest"] = forest(tasks, x, seed)
    return {each: round(100 * float((answer == y).mean()), 2) for each, answer in found.items()}


Answer = NDArray[np.generic]


def flat(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, D) entries."""
    return x.reshape(len(x), -1).astype(float)


def trained(x: NDArray[np.float32], y: Answer, seed: int, steps: int = 1000) -> nn.Module:
    """The streams' perceptron with plain Adam."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(x[0].size, 100), nn.ReLU(), nn.Linear(100, int(y.max()) + 1))
    adam, data = torch.optim.Adam(net.parameters()), torch.tensor(flat(x), dtype=torch.float32)
    for _ in range(steps):
        rows = torch.randint(len(x), (64,))
        loss = nn.functional.cross_entropy(net(data[rows]), torch.tensor(y)[rows])
        adam.zero_grad()
        loss.backward()
        adam.step()
    return net


def answered(net: nn.Module, x: NDArray[np.float32]) -> NDArray[np.int64]:
    """(n,) columns."""
    with torch.no_grad():
        return np.asarray(net(torch.tensor(flat(x), dtype=torch.float32)).argmax(dim=1))


def separate(tasks: list[Task], x: NDArray[np.float32], seed: int) -> Answer:
    """A network of its own a task, chosen by one Ledoit-Wolf Gaussian a task."""
    from scipy.stats import multivariate_normal

    scores, answers = [], []
    for task in tasks:
        labels, y = np.unique(task.y, return_inverse=True)
        answers.append(labels[answered(trained(task.x, y, seed), x)])
        mean, covariance = flat(task.x).mean(axis=0), ledoit_wolf(flat(task.x))[0]
        scores.append(multivariate_normal(mean, covariance).logpdf(flat(x)))
    return np.stack(answers)[np.argmax(scores, axis=0), np.arange(len(x))]


def naive(tasks: list[Task], x: NDArray[np.float32]) -> Answer:
    """`GaussianNB.partial_fit`, with scikit-learn's settings."""
    model, classes = GaussianNB(), np.unique(np.concatenate([t.y for t in tasks]))
    for task in tasks:
        model.partial_fit(flat(task.x), task.y, classes)
    return np.asarray(model.predict(flat(x)))


def replay(tasks: list[Task], x: NDArray[np.float32], seed: int) -> Answer:
    """A network trained on each task and 20 stored samples of each earlier task's class."""
    labels, rng = np.unique(np.concatenate([t.y for t in tasks])), np.random.default_rng(seed)
    kept: list[tuple[NDArray[np.float32], Answer]] = []
    for task in tasks:
        inputs = np.concatenate([task.x, *(x for x, _ in kept)])
        y = np.searchsorted(labels, np.concatenate([task.y, *(y for _, y in kept)]))
        net = trained(inputs, y, seed)
        for label in np.unique(task.y):
            rows = rng.permutation(np.flatnonzero(task.y == label))[:KEPT]
            kept.append((task.x[rows], task.y[rows]))
    return labels[answered(net, x)]


def forest(tasks: list[Task], x: NDArray[np.float32], seed: int) -> Answer:
    """A random forest that sees everything at once."""
    model = RandomForestClassifier(random_state=seed)
    every = [np.concatenate(each) for each in zip(*((flat(t.x), t.y) for t in tasks), strict=True)]
    return np.asarray(model.fit(*every).predict(flat(x)))


def main() -> None:
    """Print a line of JSON for each stream and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("streams", nargs="*", default=["split digits", "rotated digits", "tables"])
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--set", default="{}", help="settings of the learner, as JSON")
    parser.add_argument("--rivals", action="store_true", help="measure these instead")
    parser.add_argument("--kinds", action="store_true", help="answer by each kind of evidence")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.streams:
        for seed in map(int, given.seeds.split(",")):
            if given.rivals:
                found: dict[str, object] = {"stream": name, "seed": seed, **rivals(name, seed)}
            elif given.kinds:
                for found in kinds(name, seed, json.loads(given.set)):
                    print(json.dumps(found), flush=True)
                continue
            else:
                found = measure(name, seed, json.loads(given.set))
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
