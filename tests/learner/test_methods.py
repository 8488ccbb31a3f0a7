"""Registered methods through the learner: what they can, and a line for what they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from learners import clouds, mlp, same, words

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError

INFERS = ["hnet-tir", "hnet-ent", "hnet-lik", "hnet-sum", "gen-classifier"]
QUICK = {"iterations": 60, "batch_size": 32, "lr": 0.01}
GIVEN = ["finetune", "separate", "ewc", "ewc-online", "si", "lwf", "dgr", "dgr-distill", "hnet-r"]
NOT_GIVEN = ["finetune", "ewc", "si", "lwf", "dgr", "hnet-r"]
ANALYTIC = ["ncm", "slda", "ranpac", "patches", "patch-sum"]


def taught(method: str, infer_task: str | None = None, **settings: object) -> ContinualLearner:
    made = ContinualLearner(mlp(), infer_task, method=method, **{**QUICK, **settings})
    for task in range(2):
        x, y = clouds(task, classes=2 + task)
        made.fit(x, words(y, task), task="ab"[task])
    return made


def answers(made: ContinualLearner) -> list[np.ndarray]:
    x = np.concatenate([clouds(task)[0] for task in range(2)])
    found = [made.predict_proba(x, task) for task in made.tasks]
    if made.settings.infer_task is not None:
        found += [made.predict_proba(x), *made.predict_task(x)]
    return found


@pytest.mark.parametrize("method", [*GIVEN, *ANALYTIC, *INFERS])
def test_tasks_are_given(method, tmp_path) -> None:
    made = taught(method)
    x, y = clouds(1, classes=3)
    assert made.score(x, words(y, 1), task="b") > 0.8
    assert made.classes("b").tolist() == sorted(set(words(y, 1)))
    assert made.predict_proba(x, "b").shape == (len(x), 3)
    made.save(tmp_path / "one")
    again = ContinualLearner.load(tmp_path / "one", mlp())
    assert again.settings == made.settings
    assert same(answers(made), answers(again))
    for each in (made, again):
        each.fit(*clouds(2), task="c")
    assert same(answers(made), answers(again))


@pytest.mark.parametrize("method", [*NOT_GIVEN, *ANALYTIC])
def test_tasks_are_not_given(method, tmp_path) -> None:
    made = taught(method, "entropy")
    x, y = clouds(1, classes=3)
    if method != "lwf":  # which still answers as it did
        assert made.score(x, words(y, 1)) > 0.8
        assert (made.predict_task(x).tasks == "b").mean() > 0.8
    shares = made.predict_proba(x)
    assert shares.shape == (len(x), 5)
    assert np.allclose(shares.sum(1), 1, atol=1e-5)
    assert (made.classes()[shares.argmax(1)] == made.predict(x)).all()
    assert set(made.predict(x, "a")) <= set(words(np.arange(2)))
    made.save(tmp_path / "one")
    assert same(answers(made), answers(ContinualLearner.load(tmp_path / "one", mlp())))


def test_labels_that_tasks_share_are_added_up() -> None:
    made = ContinualLearner(mlp(), "entropy", method="finetune", **QUICK)
    for task in range(2):
        x, y = clouds(task)
        made.fit(x, y + task, task=task)
    assert made.classes().tolist() == [0, 1, 2]
    shares = made.predict_proba(x)
    assert shares.shape == (90, 3)
    assert np.allclose(shares.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("method", ["finetune", "separate", "ewc", "ewc-online", "si"])
def test_a_known_task_is_continued(method) -> None:
    made = taught(method, iterations=5)
    made.fit(clouds(5)[0], words(clouds(5)[1]), task="a")
    assert made.tasks == ["a", "b"]
    assert "162" in made.summary()  # samples of both fits of a


@pytest.mark.parametrize("method", ["lwf", "dgr", "hnet-r", "hnet-tir"])
def test_a_task_that_cannot_be_continued_is_refused(method) -> None:
    made = taught(method, iterations=5)
    before = answers(made)
    with pytest.raises(ConfigError, match="cannot go on with a task") as found:
        made.fit(clouds(5)[0], words(clouds(5)[1]), task="a")
    assert "\n" not in str(found.value)
    assert same(before, answers(made))


REFUSED = {
    "all tasks at once": ("joint", None, "learns one task after another"),
    "the task is needed": ("separate", "entropy", "separate must be told the task"),
    "unknown": ("hnett", None, "did you mean 'hnet"),
}


@pytest.mark.parametrize(("method", "infer_task", "rule"), REFUSED.values(), ids=REFUSED)
def test_what_a_method_cannot_do_is_refused(method, infer_task, rule) -> None:
    with pytest.raises(ConfigError, match=rule) as found:
        ContinualLearner(mlp(), infer_task, method=method).fit(*clouds(0), task="a")
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("method", ["finetune", "separate", "ewc", "si"])
def test_values(method) -> None:
    made = ContinualLearner(mlp(outputs=1), None, method=method, **QUICK)
    for task in range(2):
        x, _ = clouds(task)
        made.fit(x, x[:, task], task=task)
    assert made.score(x, x[:, 1], task=1) > 0.5
    with pytest.raises(ConfigError, match="classes belong to classification"):
        made.predict_proba(x, 1)


def test_values_of_tasks_that_are_not_given() -> None:
    made = ContinualLearner(mlp(outputs=1), "entropy", method="finetune", **QUICK)
    for task in range(2):
        x, _ = clouds(task)
        made.fit(x, 100 + x[:, 0], task=task)
    assert made.predict(x).shape == (90,)
    assert made.score(x, 100 + x[:, 0]) > 0.5
