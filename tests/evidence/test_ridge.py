"""Evidence by ridge regression on what all tasks add up: by its definition, and in a learner."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.learner.learners import clouds, learner, mlp
from torch import Tensor

from hypermnesia import Batch, ConfigError, ContinualLearner, DataError, TaskSpec
from hypermnesia.evidence.ridge import RidgeSettings, TaskRidge

NETWORKS: Any = SimpleNamespace(memory=SimpleNamespace(device=torch.device("cpu")))
CLASSES = (2, 3, 2)


def samples(task: int) -> tuple[Tensor, Tensor]:
    x, y = clouds(task, classes=CLASSES[task])
    return torch.from_numpy(x), torch.from_numpy(y)


def taught(*tasks: int, width: int = 0) -> TaskRidge:
    made = TaskRidge(NETWORKS, ridge=RidgeSettings(width, 0.1))
    for task in tasks:
        made.begin_task(TaskSpec(CLASSES[task], 1))
        x, y = samples(task)
        made.end_task([Batch(x[rows], y[rows], y[rows]) for rows in torch.arange(90).split(40)])
    return made


def asked(made: TaskRidge, x: Tensor) -> Tensor:
    return made.log_evidence(x, torch.empty(len(made.sums), 0, dtype=torch.float64))


@pytest.mark.parametrize("width", [0, 9])
def test_evidence_is_the_best_answer_of_ridge_regression_on_all_samples(width: int) -> None:
    made, each = taught(0, 1, 2, width=width), [samples(task) for task in range(3)]
    x = torch.cat([x for x, _ in each]).double()
    f = torch.cat([torch.ones(len(x), 1), x], dim=1)
    if width:
        first, second = made._expanded.drawn
        f = torch.cat([f, (x @ first.T) * (x @ second.T)], dim=1)
    y = torch.cat([y + first for (_, y), first in zip(each, (0, 2, 5), strict=True)])
    hot = torch.nn.functional.one_hot(y).double()
    strength = 0.1 * (f.T @ f).diagonal().mean()
    below = strength.sqrt() * torch.eye(f.shape[1], dtype=torch.float64)
    both = torch.cat([f, below]), torch.cat([hot, torch.zeros(f.shape[1], 7).double()])
    scores = f @ torch.linalg.lstsq(*both).solution
    wanted = torch.stack([part.amax(dim=1) for part in scores.split(list(CLASSES), dim=1)])
    assert torch.allclose(asked(made, x.float()), 10 * wanted, rtol=0, atol=1e-5)


def test_parts_of_a_task_and_merged_tasks_add_up() -> None:
    x, whole = samples(0)[0], taught(0, 1, 2)
    merged = taught(0)
    merged.merge(taught(1, 2))
    assert torch.allclose(asked(merged, x), asked(whole, x), rtol=0, atol=1e-9)
    parts = TaskRidge(NETWORKS, ridge=RidgeSettings(0, 0.1))
    x, y = samples(1)
    for number, own in enumerate((y < 2, y == 2)):  # the second brings a further class
        spec = TaskSpec(2 + number, 1)
        parts.continue_task(0, spec) if number else parts.begin_task(spec)
        parts.end_task([Batch(x[own], y[own], y[own])])
    assert torch.allclose(asked(parts, x), asked(taught(1), x), rtol=0, atol=1e-9)
    with pytest.raises(DataError, match="one shape"):
        parts.update(Batch(torch.zeros(2, 5), y[:2], y[:2]))


def test_a_learner_tells_tasks_by_ridge_regression(tmp_path: Path) -> None:
    made = learner("ridge", tasks=3, iterations=15)
    for task, name in enumerate("abc"):
        found = made.predict_task(clouds(task, classes=2 + task % 2)[0])
        assert (found.tasks == name).mean() > 0.9
    x = clouds(1)[0]
    made.save(tmp_path / "learner")
    again = ContinualLearner.load(tmp_path / "learner", mlp())
    assert np.array_equal(again.predict_task(x).confidence, made.predict_task(x).confidence)
    method: Any = made._learned.method
    logits = torch.empty(3, 0)
    evidence = method.evidence.log_evidence(torch.from_numpy(x), logits)
    assert torch.allclose(method.evidence.module()(torch.from_numpy(x), logits), evidence)
    with pytest.raises(ConfigError, match="forget"):
        made.remove("a")
