"""The estimators among scikit-learn's tools."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

from behaviour.frames import Frame
from hypermnesia import ContinualClassifier, ContinualRegressor
from hypermnesia.errors import ConfigError, DataError
from hypermnesia.learner.estimators import EXPECTED_FAILED_CHECKS
from learner.learners import clouds, mlp, words

QUICK: dict[str, Any] = {"iterations": 60, "lr": 0.01, "beta": 0.1}
TOLD: dict[str, Any] = {**QUICK, "infer_task": None}


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def two_tasks() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of two tasks in turn, their labels and tasks."""
    (x, y), (other_x, other_y) = clouds(0), clouds(1)
    labels = np.concatenate([words(y, 0), words(other_y, 1)])
    return np.concatenate([x, other_x]), labels, np.repeat(["a", "b"], len(x))


@pytest.mark.parametrize("kind", [ContinualClassifier, ContinualRegressor])
def test_scikit_learn_s_own_checks(kind) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the checks' own
        results = check_estimator(
            kind(**TOLD), expected_failed_checks=EXPECTED_FAILED_CHECKS, on_skip=None
        )
    passed = [each for each in results if each["status"] == "passed"]
    assert len(passed) > 45
    failed = {each["check_name"] for each in results if each["status"] == "xfail"}
    assert failed <= set(EXPECTED_FAILED_CHECKS)


def test_a_task_a_row_then_one_more() -> None:
    x, y, task = two_tasks()
    made = ContinualClassifier(**QUICK, batch_size=16).fit(x, y, task=task)
    assert made.learner_.tasks == ["a", "b"]
    assert made.classes_.tolist() == sorted(set(y))
    assert made.score(x, y, task=task) > 0.9
    assert made.predict_proba(x[:5]).shape == (5, 4)
    later, labels = clouds(2)
    made.partial_fit(later, words(labels, 2), task="c")
    assert made.learner_.tasks == ["a", "b", "c"]
    assert made.score(x, y, task=task) > 0.9
    assert [each.task for each in made.history_] == ["a", "b", "c"]
    assert made.fit(x, y).learner_.tasks == ["task"]


def test_rows_of_several_tasks_answer_in_their_order() -> None:
    x, y, task = two_tasks()
    made = ContinualClassifier(**TOLD, batch_size=16).fit(x, y, task=task)
    mixed = np.random.default_rng(0).permutation(len(x))
    assert (
        made.predict(x, task).tolist()
        == np.asarray(made.predict(x[mixed], task[mixed])[mixed.argsort()]).tolist()
    )
    shares = made.predict_proba(x, "a")
    assert shares.sum(axis=1) == pytest.approx(1)
    assert (shares[:, 2:] == 0).all()
    with pytest.raises(ConfigError, match="must be told"):
        made.predict(x)
    with pytest.raises(DataError, match="a task for each row"):
        made.predict(x, task[:3])


def test_labels_that_come_later_are_told() -> None:
    x, y = clouds(0, classes=3)
    made = ContinualClassifier(**TOLD)
    made.partial_fit(x[y < 2], y[y < 2], classes=[0, 1, 2])
    assert made.classes_.tolist() == [0, 1, 2]
    made.partial_fit(x, y)
    assert made.predict_proba(x).shape == (len(x), 3)
    with pytest.raises(ConfigError, match="classes are those of one task"):
        made.partial_fit(x[:2], y[:2], task=["p", "q"], classes=[0, 1])


def test_copies_and_printing() -> None:
    made = ContinualClassifier(mlp(), **QUICK, class_weight="balanced")
    copied = clone(made).set_params(iterations=7)
    assert copied.get_params()["iterations"] == 7
    assert copied.module is not made.module
    assert "iterations=60" in repr(made)
    assert "<div" in made._repr_html_()
    with pytest.raises(NotFittedError):
        made.predict(np.zeros((1, 6)))
    with pytest.raises(NotFittedError):
        _ = made.history_
    x, y = clouds(0)
    again = pickle.loads(pickle.dumps(made.fit(x, y)))  # noqa: S301
    assert (again.predict_proba(x) == made.predict_proba(x)).all()


def test_columns_by_name() -> None:
    x, y = clouds(0, inputs=3)
    made = ContinualClassifier(**TOLD).fit(Frame.of(x, "abc"), y)
    assert made.feature_names_in_.tolist() == ["a", "b", "c"]
    assert made.n_features_in_ == 3
    turned = Frame.of(x[:, [2, 0, 1]], "cab")
    assert (made.predict_proba(turned) == made.predict_proba(x)).all()
    with pytest.raises(DataError, match="missing: c"):
        made.predict(Frame.of(x[:, :2], "ab"))
    with pytest.raises(ValueError, match="X has 2 features, but Continual"):
        made.predict(x[:, :2])


@pytest.mark.parametrize(
    ("column", "told"),
    [
        (np.array(["x", "y"] * 10), "'b' of <U1; encode it by scikit-learn's OneHotEncoder"),
        (np.array(["x", 1.0] * 10, object), "'b' of object; .*OrdinalEncoder"),
        (np.arange(20).astype("datetime64[D]"), r"'b' of datetime64\[D\]; .*FunctionTransformer"),
    ],
)
def test_columns_that_are_no_numbers(column, told) -> None:
    table = Frame({"a": np.arange(20.0), "b": column})
    with pytest.raises(DataError, match=f"columns must be numbers; got {told}"):
        ContinualClassifier(**TOLD).fit(table, np.arange(20) % 2)


def test_in_a_pipeline() -> None:
    x, y, task = two_tasks()
    pipeline = make_pipeline(StandardScaler(), ContinualClassifier(**TOLD))
    pipeline.fit(x, y, continualclassifier__task=task)
    assert pipeline[-1].score(pipeline[0].transform(x), y, task=task) > 0.9


def test_the_task_is_routed(routing) -> None:
    pytest.importorskip("sklearn", "1.8", reason="pipelines route to score from 1.8 on")
    x, y, task = two_tasks()
    made = ContinualClassifier(**TOLD, batch_size=16)
    made.set_fit_request(task=True).set_score_request(task=True)
    order = np.random.default_rng(0).permutation(len(x))
    x, y, task = x[order], y[order], task[order]
    found = cross_val_score(
        make_pipeline(StandardScaler(), made), x, y, cv=2, params={"task": task}
    )
    assert found.min() > 0.9
    search = GridSearchCV(made, {"lr": [1e-6, 0.01]}, cv=2).fit(x, y, task=task)
    assert search.best_params_ == {"lr": 0.01}
    assert search.best_estimator_.set_partial_fit_request(task=True)


def test_weights_of_classes_and_samples() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 2)).astype("float32")
    y = (np.arange(300) % 10 == 0).astype(int)  # nothing to learn but how many there are
    shares = []
    for weight in (None, "balanced", {0: 1, 1: 100}):
        made = ContinualClassifier(hidden=(), class_weight=weight, **TOLD, validation=0)
        shares.append(made.fit(x, y).predict_proba(x)[:, 1].mean())
    assert shares[0] < 0.2 < 0.4 < shares[1] < 0.6 < 0.85 < shares[2]
    weight = np.where(y == 1, 9.0, 1.0)
    made = ContinualClassifier(hidden=(), **TOLD, validation=0).fit(x, y, sample_weight=weight)
    assert made.predict_proba(x)[:, 1].mean() == pytest.approx(shares[1], abs=0.02)
    made.fit(x, y, sample_weight=y)  # only those
    assert made.predict(x).tolist() == [1] * 300


def test_values() -> None:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (200, 3))
    y = np.stack([x[:, 0] + x[:, 1], 100 * x[:, 2]], axis=1)
    made = ContinualRegressor(**{**TOLD, "iterations": 300}, batch_size=32)
    made.fit(np.tile(x, (2, 1)), np.concatenate([y, -y]), task=np.repeat([1, 2], 200))
    assert made.learner_.tasks == [1, 2]
    assert made.predict(x, task=1).shape == (200, 2)
    assert made.score(x, y, task=1) > 0.9
    assert made.score(x, -y, task=np.full(200, 2)) > 0.9


class Pixels(nn.Module):
    """Of bytes in two dimensions, which a learner shows in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert float(x.max()) <= 1
        return self.layer(x.flatten(1))


def test_a_module_of_one_s_own_is_shown_images() -> None:
    x = np.zeros((40, 2, 2), np.uint8)
    x[::2] = 255
    y = np.arange(40) % 2
    made = ContinualClassifier(Pixels(), **{**TOLD, "lr": 0.1}).fit(x, y)
    assert made.score(x, y) == 1
