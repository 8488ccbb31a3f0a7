"""Values: one or several, in the user's units."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learners import clouds, mlp
from sklearn.metrics import r2_score
from torch import nn

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError, DataError

X = clouds(0)[0]
PLAIN = {"iterations": 150, "batch_size": 16, "lr": 0.01}


def plane(columns: int, task: int = 0) -> np.ndarray:
    """(n, columns) linear values far from 0, of different sizes."""
    rng = np.random.default_rng(task)
    return X @ rng.standard_normal((6, columns)) * 10.0 ** np.arange(columns) + 1000 * task


def linear(infer_task=None, **settings) -> ContinualLearner:
    torch.manual_seed(0)
    return ContinualLearner(nn.Linear(6, 1), infer_task, **{**PLAIN, **settings})


@pytest.mark.parametrize("shape", ["single", "column", "two"])
def test_values_come_back_in_their_shape_and_units(shape) -> None:
    y = {"single": plane(1)[:, 0], "column": plane(1), "two": plane(2)}[shape] + 500
    made = linear().fit(X, y, task="a")
    answers = made.predict(X, "a")
    assert answers.shape == y.shape
    assert made.score(X, y, task="a") == pytest.approx(r2_score(y, answers))
    assert made.score(X, y, task="a") > 0.9
    with torch.no_grad():
        alone = made.export("a")(torch.as_tensor(X)).numpy()
    assert np.allclose(alone.reshape(y.shape), answers, rtol=0, atol=1e-6 * np.abs(y).max())


def test_a_task_has_its_own_number_of_values() -> None:
    made = linear("likelihood").fit(X, plane(1), task="a").fit(X + 20, plane(3, 1), task="b")
    assert made.predict(X, "b").shape == (90, 3)
    assert made.predict(X[:5]).shape == (5, 1)
    with pytest.raises(ConfigError, match="cannot answer side by side"):
        made.predict(np.concatenate([X, X + 20]))


def test_what_kind_of_problem_it_is() -> None:
    assert linear(iterations=1).fit(X, np.arange(90) % 2, task="a").classes().tolist() == [0, 1]
    whole = linear(iterations=1, problem="regression").fit(X, np.arange(90), task="a")
    assert whole.predict(X, "a").dtype.kind == "f"
    halves = ContinualLearner(mlp(), None, iterations=1, problem="classification")
    halves.fit(X, np.arange(90) % 2 / 2, task="a")
    assert halves.classes("a").tolist() == [0.0, 0.5]
    with pytest.raises(ConfigError, match="classes belong to classification"):
        whole.predict_proba(X, "a")
    with pytest.raises(DataError, match="keeps the number of values"):
        whole.fit(X, plane(2), task="a")
    with pytest.raises(DataError, match="finite targets"):
        whole.fit(X, np.full(90, np.inf), task="b")
    with pytest.raises(DataError, match="regression needs numbers"):
        whole.fit(X, ["one"] * 90, task="b")


def test_a_constant_is_learned_too() -> None:
    made = linear().fit(X, np.full(90, 7.0), task="a")
    assert np.allclose(made.predict(X, "a"), 7, atol=1)
