"""Sizes of a hypernetwork: within their budget, and built as counted."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.learner.learners import QUICK, clouds

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.network import Hypernetwork, make_plan
from hypermnesia.learner.design import SMALLEST, hypernet_sizes
from hypermnesia.regularization import rows


def kept(weights: int, compression: float | None) -> int:
    """Learned values of the hypernetwork as it is built, and of a task's embedding."""
    settings = hypernet_sizes(weights, compression)
    plan = make_plan(settings.plan, [weights], settings.chunk)
    net = Hypernetwork(settings, plan, torch.ones(weights), torch.Generator())
    return sum(p.numel() for p in net.parameters()) + settings.task_embedding


@given(st.integers(10, 300_000))
def test_by_default_as_many_values_as_weights(weights: int) -> None:
    assert kept(weights, None) <= max(weights, SMALLEST)


@given(st.integers(50_000, 300_000), st.floats(0.2, 2.0))
def test_a_compression_is_kept_to_and_used(weights: int, compression: float) -> None:
    assert 0.8 * compression * weights < kept(weights, compression) <= compression * weights


def test_large_models_get_wide_features() -> None:
    assert hypernet_sizes(10_000_000).hidden == (32, 32)
    assert hypernet_sizes(3_000, 1.5).hidden == (12, 12)


def test_no_room_for_a_hypernetwork() -> None:
    with pytest.raises(ConfigError, match="choose a larger compression"):
        hypernet_sizes(1000, 0.1)


def test_of_very_many_rows_some_hold_all_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(rows, "auto", lambda total, _: asked.append(total) or 12)
    model = torch.nn.Sequential(torch.nn.Linear(6, 300), torch.nn.ReLU(), torch.nn.Linear(300, 2))
    made = ContinualLearner(model, None, compression=1.0, **{**QUICK, "iterations": 80})
    for task in range(3):
        x, y = clouds(task)
        made.fit(x, y, task=task)
    assert max(asked) > 12
    assert all(made.score(*clouds(task), task=task) > 0.95 for task in range(3))
