"""Kinds of evidence side by side: which is chosen, sums, and filters of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hypermnesia import ContinualLearner
from hypermnesia.errors import DataError
from hypermnesia.evidence.best import FIRM, BestEvidence, SumEvidence
from hypermnesia.evidence.filters import _Bank, _drawn, filterable

FEW = {"iterations": 30, "batch_size": 20, "lr": 0.01}


def image_net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(144, 2))


def noise(task: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """(n, 1, 12, 12) pixels of variance 1: all normal, or one in 100 large and the others zero."""
    rng = np.random.default_rng(task)
    raw = rng.standard_normal((n, 1, 12, 12))
    if task:
        raw *= 10 * (rng.random(raw.shape) < 1 / 100)
    return raw.astype(np.float32), np.arange(n) % 2


@pytest.fixture(scope="module")
def pictures() -> ContinualLearner:
    """Whose tasks have the same mean and covariance, as textures may."""
    made = ContinualLearner(image_net(), **FEW)
    for task in range(2):
        made.fit(*noise(task), task=task)
    return made


def test_what_recognises_held_out_samples_answers(pictures) -> None:
    known = pictures._learned
    evidence: BestEvidence = known.method.evidence
    assert [*evidence.kinds] == [*known.calibrations.losses] == ["gaussian", "filters", "entropy"]
    assert evidence.chosen == known.way == "filters"
    assert known.calibrations.losses["filters"] < known.calibrations.losses["gaussian"] - FIRM
    assert pictures.inference.startswith("filters: inputs are real numbers of one shape; ")
    assert f"; {evidence.kept} numbers kept; nats lost on held-out" in pictures.inference
    assert "held-out samples recognised: 100%, 95%" in pictures.summary()
    rows = [noise(task, n=240)[0][200:] for task in range(2)]
    right = [(pictures.predict_task(x).tasks == task).mean() for task, x in enumerate(rows)]
    assert min(right) > 0.8
    assert known.method.kept > sum(each.kept for each in evidence.members.values()) > 0


def test_the_choice_is_kept_and_follows_the_tasks(pictures, tmp_path) -> None:
    x = noise(0, n=40)[0]
    wanted = pictures.predict_proba(x)
    pictures.save(tmp_path / "made")
    loaded = ContinualLearner.load(tmp_path / "made", image_net())
    assert loaded.inference == pictures.inference
    assert np.array_equal(loaded.predict_proba(x), wanted)
    left = loaded.remove(1)
    assert left._learned.way == "gaussian"  # of one task nothing is lost
    assert np.array_equal(pictures.predict_proba(x), wanted)


def test_another_kind_must_be_likelier_by_far(pictures) -> None:
    evidence = BestEvidence(pictures._learned.method.all_tasks)
    evidence.choose({"gaussian": 5.0, "entropy": 5.0 - FIRM + 0.1})
    assert evidence.chosen == "gaussian"
    evidence.choose({"gaussian": 5.0, "entropy": 5.0 - FIRM - 0.1})
    assert evidence.chosen == "entropy"


def test_a_task_of_one_class_has_no_entropy() -> None:
    rng, made = np.random.default_rng(0), ContinualLearner(nn.Linear(4, 2), **FEW)
    made.fit(rng.normal(size=(60, 4)), np.arange(60) % 2, task="two")
    made.fit(5 + rng.normal(size=(60, 4)), np.full(60, 7), task="one")
    assert [*made._learned.calibrations.losses] == ["gaussian"]
    assert made.predict(np.full((3, 4), 5.0)).tolist() == [7, 7, 7]


def test_a_sum_is_that_of_its_parts() -> None:
    rng, made = np.random.default_rng(0), ContinualLearner(nn.Linear(4, 2), "sum", **FEW)
    for task in range(2):
        made.fit(task + rng.normal(size=(60, 4)), np.arange(60) % 2, task=task)
    evidence: Any = made._learned.method.evidence
    assert isinstance(evidence, SumEvidence)
    x = torch.as_tensor(rng.normal(size=(5, 4)), dtype=torch.float32)
    logits = made._learned.method.all_tasks(x)
    own = {name: each.log_evidence(x, logits) for name, each in evidence.members.items()}
    each = evidence.each(x, logits)
    assert torch.allclose(each["gaussian + 10 entropy"], own["gaussian"] + 10 * own["entropy"])
    for kind in evidence.kinds:
        evidence.chosen = kind
        assert torch.equal(evidence.log_evidence(x, logits), each[kind])
        assert torch.allclose(evidence.module()(x, logits), each[kind], rtol=1e-5)


def test_filters_by_their_definition() -> None:
    weight, x = _drawn(2), torch.randn(3, 2, 7, 6, generator=torch.Generator().manual_seed(1))
    found = _Bank(weight)(x)
    assert found.shape == (3, 128)
    assert torch.allclose(weight.flatten(1).norm(dim=1), torch.ones(64))
    patches = F.unfold(x, 5).transpose(1, 2)  # (batch, positions, 50)
    responses = patches @ weight.flatten(1).T
    expected = torch.cat([responses.clamp(min=0).mean(1), (-responses).clamp(min=0).mean(1)], dim=1)
    assert torch.allclose(found, expected.double(), atol=1e-5)
    assert [filterable(shape) for shape in ((1, 5, 5), (1, 4, 9), (8, 8), (2, 8, 8, 8))] == [
        True, False, False, False,
    ]  # fmt: skip


def test_filters_are_refused_what_is_no_image() -> None:
    made = ContinualLearner(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), "filters", **FEW)
    with pytest.raises(DataError, match=r"filters are for images, \(1, height, width\), of 5"):
        made.fit(np.zeros((40, 1, 4, 4)), np.arange(40) % 2, task="a")
