"""A learner that draws several networks for each task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError
from problems import blobs


def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))


def taught(infer_task: str | None, **settings: object) -> ContinualLearner:
    learner = ContinualLearner(model(), infer_task, ensemble=3, iterations=120, **settings)
    for task in range(2):
        learner.fit(blobs(task).x, blobs(task).y, task=task)
    return learner


@pytest.mark.parametrize("infer_task", ["entropy", "agreement", "mutual-information", "gaussian"])
def test_its_answers_are_means_that_repeat_and_survive(infer_task: str, tmp_path: Path) -> None:
    learner, x = taught(infer_task), blobs(0).x
    assert all(learner.score(blobs(t).x, blobs(t).y, task=t) == 1.0 for t in range(2))
    assert (learner.predict_task(x).tasks == 0).mean() > 0.9
    network = learner.export(1)
    assert len(network.networks) == 3
    each = torch.stack([own(x).softmax(1) for own in network.networks])
    assert each.std(0).max() > 1e-6
    wanted = each.mean(0).detach().numpy()
    np.testing.assert_allclose(learner.predict_proba(x, 1), wanted, rtol=1e-4, atol=1e-6)
    before = learner.predict_proba(x)
    assert np.array_equal(learner.predict_proba(x), before)
    learner.save(tmp_path / "own")
    loaded = ContinualLearner.load(tmp_path / "own", model())
    assert np.array_equal(loaded.predict_proba(x), before)
    loaded.remove(0)
    np.testing.assert_allclose(loaded.predict_proba(x, 1), wanted, rtol=1e-4, atol=1e-6)


def test_values_are_averaged_and_kept_to_a_size() -> None:
    x = blobs(0).x
    wide = nn.Sequential(nn.Linear(6, 512), nn.ReLU(), nn.Linear(512, 2))
    learner = ContinualLearner(wide, None, ensemble=3, iterations=20, compression=1.0)
    learner.fit(x, 2 * x[:, :2] + 1, task="a")
    network = learner.export("a")
    every = torch.stack([own(x) for own in network[0].networks])
    wanted = network[1](every.mean(0)).detach()
    np.testing.assert_allclose(learner.predict(x, "a"), wanted, rtol=1e-4, atol=1e-4)
    memory = learner._knowledge.method.memory
    assert memory.kept <= sum(p.numel() for p in wide.parameters())


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="an ensemble needs method='hnet'"):
        ContinualLearner(model(), ensemble=3, method="ewc")
    with pytest.raises(ConfigError, match="ensemble must be 2 or more to tell tasks by agreement"):
        ContinualLearner(model(), "agreement")
    for wrong in (0, 2.0):
        with pytest.raises(ConfigError, match="ensemble must be"):
            ContinualLearner(model(), ensemble=wrong)
    learner = taught(None)
    other = ContinualLearner(model(), None, ensemble=3, iterations=2)
    other.fit(blobs(2).x, blobs(2).y, task=2)
    with pytest.raises(ConfigError, match="to merge, each task must have one network"):
        learner.merge(other)
    with pytest.raises(ConfigError, match="to erase a task, each task must have one network"):
        learner.remove(0, erase=True)
