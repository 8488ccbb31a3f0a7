"""Fit, predict, score: one task after another, in the user's own words."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from learners import QUICK, clouds, held, learner, mlp, same, scores, words
from torch.utils.data import DataLoader, TensorDataset

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError, DataError, RunError, TargetError
from hypermnesia.training import observers as stopping

INFERRING = ["likelihood", "entropy"]


@pytest.fixture(scope="module", params=[None, *INFERRING], ids=str)
def fitted(request) -> ContinualLearner:
    return learner(request.param, iterations=150)


def test_answers_are_labels_of_the_task(fitted) -> None:
    for task, name in enumerate(fitted.tasks):
        x, y = clouds(task, classes=2 + task % 2)
        answers = fitted.predict(x, name)
        assert answers.dtype.kind == "U"
        assert (answers == words(y, task)).mean() > 0.95
        assert fitted.score(x, words(y, task), task=name) == (answers == words(y, task)).mean()
        shares = fitted.predict_proba(x, name)
        assert shares.shape == (len(x), len(fitted.classes(name)))
        assert np.allclose(shares.sum(1), 1, atol=1e-5)
        assert (fitted.classes(name)[shares.argmax(1)] == answers).all()


def test_an_exported_network_answers_as_predict(fitted) -> None:
    for task, name in enumerate(fitted.tasks):
        x, _ = clouds(task)
        alone = scores(fitted.export(name), x).softmax(1).numpy()
        assert np.allclose(alone, fitted.predict_proba(x, name), atol=1e-6)
        assert len(scores(fitted.export(name), x)[0]) == len(fitted.classes(name))


def test_the_model_is_left_as_it_was() -> None:
    model = mlp().train()
    before = copy.deepcopy(model.state_dict())
    made = ContinualLearner(model, None, **QUICK)
    made.fit(*clouds(0), task="a").export("a").train()
    assert model.training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("way", INFERRING)
def test_without_a_task_it_is_inferred(way) -> None:
    made = learner(way, iterations=200)
    parts = [clouds(task, classes=2 + task % 2) for task in range(2)]
    x = np.concatenate([x for x, _ in parts])
    truth = np.repeat(["a", "b"], 90)
    found = made.predict_task(x)
    assert (found.tasks == truth).mean() > (0.9 if way == "likelihood" else 0.5)
    assert (found.confidence >= 0.5).all()
    assert (found.confidence <= 1).all()
    answers, shares = made.predict(x), made.predict_proba(x)
    assert (made.classes()[shares.argmax(1)] == answers).all()
    for task in ("a", "b") if way == "likelihood" else ():
        rows = found.tasks == task
        assert (answers[rows] == made.predict(x[rows], task)).all()
    assert made.score(x, np.concatenate([words(y, t) for t, (_, y) in enumerate(parts)])) > 0.5


def test_labels_of_several_kinds_and_shared_ones() -> None:
    made = ContinualLearner(mlp(), "entropy", **QUICK)
    kinds = [np.array([4, 9]), np.array(["no", "yes"]), np.array([9, 11])]
    for task, labels in enumerate(kinds):
        x, y = clouds(task)
        made.fit(x, labels[y], task=task)
    assert made.classes().tolist() == [4, 9, 11, "no", "yes"]
    assert made.predict_proba(x).shape == (90, 5)
    assert set(made.predict(np.concatenate([clouds(t)[0] for t in range(3)]))) <= {
        4,
        9,
        "no",
        "yes",
        11,
    }
    assert made.predict(x, 2).dtype.kind == "i"


def test_every_kind_of_data_is_learned_alike() -> None:
    x, y = clouds(0)
    dataset = TensorDataset(torch.as_tensor(x), torch.as_tensor(y))
    loader = DataLoader(dataset, batch_size=7, shuffle=True)
    ends = []
    for data in ((x, y), dataset, loader):
        made = ContinualLearner(mlp(), "likelihood", **{**QUICK, "iterations": 5})
        made.fit(data, task="a")
        ends.append(made.predict_proba(data if data is loader else x, "a"))
        assert made.score(data, task="a") == made.score(x, y, task="a")
    assert same([ends[0]] * 2, ends[1:])


def test_the_same_seed_is_the_same_learner() -> None:
    settings = {"infer_task": "likelihood", "iterations": 5}
    before = torch.get_rng_state()
    one = held(learner(**settings))
    assert same(one, held(learner(**settings)))
    assert not same(one, held(learner(**settings, seed=1)))
    assert torch.equal(before, torch.get_rng_state())


def test_a_known_task_is_gone_on_with() -> None:
    made = learner("likelihood", tasks=3, iterations=150)
    x, y = clouds(7)
    others = {name: made.score(*_own(task), task=name) for task, name in ((1, "b"), (2, "c"))}
    assert made.score(x, words(y), task="a") < 0.9
    made.fit(x, words(y), task="a")
    assert made.tasks == ["a", "b", "c"]
    assert made.score(x, words(y), task="a") > 0.9
    for task, name in ((1, "b"), (2, "c")):
        assert made.score(*_own(task), task=name) > others[name] - 0.1
    assert "162" in made.summary()  # samples of both fits of a
    with pytest.raises(DataError, match=r"keeps the labels.*got 'class 9'"):
        made.fit(x, np.array(["class 9"] * 90), task="a")


def _own(task: int):
    x, y = clouds(task, classes=2 + task % 2)
    return x, words(y, task)


def test_it_stops_when_held_out_samples_say_so() -> None:
    x, _ = clouds(0)
    noise = np.random.default_rng(0).integers(0, 2, 90)  # nothing to learn
    made = ContinualLearner(mlp(), None, batch_size=16, iterations=2000, patience=100)
    made.fit(x, noise, task="noise", validation=clouds(3))
    updates = int(made.summary().splitlines()[1].split()[-1])
    assert 100 <= updates < 1000
    assert updates % 50 == 0
    made = ContinualLearner(mlp(), None, batch_size=16, iterations=160, patience=1, validation=0)
    made.fit(x, noise, task="noise")
    assert made.summary().splitlines()[1].split()[-1] == "160"


@pytest.mark.parametrize("way", [None, "likelihood"])
def test_the_best_state_is_what_stays(way, monkeypatch) -> None:
    """Held-out samples that contradict the others are never answered better than at first."""
    monkeypatch.setattr(stopping, "_EVALUATION_EVERY", 5)
    x, y = clouds(0)

    def confidence(held_out: np.ndarray) -> float:
        made = ContinualLearner(mlp(), way, batch_size=16, lr=2e-4, iterations=60, patience=60)
        made.fit(x, y, task="a", validation=(x, held_out))
        return float(made.predict_proba(x, "a").max(axis=1).mean())

    assert confidence(1 - y) < confidence(y) - 0.05


def test_progress_shows_a_bar(capsys) -> None:
    learner(tasks=1, progress=True, iterations=3)
    assert "task a" in capsys.readouterr().err
    learner(tasks=1, iterations=3)
    assert capsys.readouterr().err == ""


def test_compression_is_a_choice() -> None:
    wide = torch.nn.Sequential(torch.nn.Linear(6, 400), torch.nn.ReLU(), torch.nn.Linear(400, 2))
    made = ContinualLearner(wide, None, compression=2.0, iterations=1).fit(*clouds(0), task="a")
    assert "kept in 1.9" in made.summary() or "kept in 2.0" in made.summary()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"infer_task": "entropi"}, "did you mean 'entropy'"),
        ({"problem": "regress"}, "did you mean 'regression'"),
        ({"lr": 0}, "lr must be above 0"),
        ({"beta": -1}, "beta must be 0 or more"),
        ({"compression": float("nan")}, "compression must be above 0"),
        ({"validation": 1.0}, "from 0 to below 1"),
        ({"patience": 0}, "patience must be 1 or more"),
    ],
    ids=str,
)
def test_settings_that_cannot_work(change, rule) -> None:
    with pytest.raises(ConfigError, match=rule):
        ContinualLearner(mlp(), **change)


def test_what_is_asked_of_a_learner_that_cannot() -> None:
    x, _ = clouds(0)
    with pytest.raises(ConfigError, match="must be fitted first"):
        ContinualLearner(mlp()).predict(x)
    made = learner(None, iterations=1)
    with pytest.raises(ConfigError, match="'aa'; did you mean 'a'"):
        made.predict(x, "aa")
    for ask in (made.predict, made.predict_proba, made.predict_task):
        with pytest.raises(ConfigError, match="infers no tasks"):
            ask(x)
    with pytest.raises(DataError, match="got none"):
        made.predict(x[:0], "a")
    for name in (3, ("a",), None, True):
        with pytest.raises(ConfigError, match="named by strings"):
            made.fit(*clouds(0), task=name)
    with pytest.raises(DataError, match="needs samples"):
        made.fit(x[:0], [], task="c")


def test_data_that_the_model_cannot_take() -> None:
    made = ContinualLearner(mlp(), None)
    with pytest.raises(TargetError, match=r"must take inputs of shape \(2, 5\)"):
        made.fit(*clouds(0, inputs=5), task="a")
    with pytest.raises(TargetError, match="convert them to floats"):
        made.fit(np.ones((20, 6), np.int64), np.arange(20) % 2, task="a")
    conv = torch.nn.Conv1d(6, 2, 1)
    with pytest.raises(TargetError, match=r"\(batch, outputs\) logits"):
        ContinualLearner(conv, None).fit(np.ones((20, 6, 3)), np.arange(20) % 2, task="a")
    with pytest.raises(DataError, match="one label a sample"):
        made.fit(clouds(0)[0], np.ones((90, 2), np.int64), task="a")
    assert made.tasks == []
    made = learner(tasks=1, iterations=1)
    for task in ("a", "b"):
        with pytest.raises(TargetError, match="must take inputs"):
            made.fit(*clouds(0, inputs=5), task=task)


def test_a_loss_that_is_no_number_is_told() -> None:
    with pytest.raises(RunError, match=r"must stay finite; got .* of task 'a'.*smaller lr"):
        learner(lr=1e30)
