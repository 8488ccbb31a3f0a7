"""Tasks with few classes, tasks that go on with some of their labels, and what is counted."""

from __future__ import annotations

import copy
import math
import re
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError
from hypermnesia.evidence.entropy import EntropySettings, entropy, mean_spreads
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.state_files import decode_state
from hypermnesia.testing import same_state
from problems import blobs, build, learn

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
BRISK = {"iterations": 200, "lr": 5e-3}
LEARNED, NEW = np.split(np.random.default_rng(0).permutation(len(X)), [1300])


def digits(rows: np.ndarray, *chosen: int) -> tuple[np.ndarray, np.ndarray]:
    rows = rows[np.isin(Y[rows], chosen or range(10))]
    return X[rows], Y[rows]


def learner(way: str | None, outputs: int = 10, **settings: object) -> ContinualLearner:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs))
    return ContinualLearner(model, way, **settings)


# Entropy


@cache
def two_and_eight() -> ContinualLearner:
    made = learner("entropy", iterations=300, lr=3e-3, compression=1)
    return made.fit(*digits(LEARNED, 0, 1), task=0).fit(*digits(LEARNED, *range(2, 10)), task=1)


def test_two_classes_are_not_surer_than_eight() -> None:
    """Entropy in nats finds 0.67 of the tasks, its share of the largest 0.73."""
    made, (x, y) = two_and_eight(), digits(NEW)
    logits, _ = made._knowledge.method.logits_and_evidence(torch.from_numpy(x))
    nats = np.mean(entropy(logits).argmin(dim=0).numpy() == (y > 1))
    assert np.mean(made.predict_task(x).tasks == (y > 1)) > max(0.7, nats + 0.03)


def test_it_is_the_share_of_the_largest_that_is_compared() -> None:
    method, x = two_and_eight()._knowledge.method, torch.from_numpy(X[NEW])
    logits, evidence = method.logits_and_evidence(x)
    shares = torch.stack(
        [entropy(own) / math.log(n) for own, n in zip(logits, (2, 8), strict=True)]
    )
    assert torch.allclose(-evidence / math.log(8), shares, atol=1e-6)
    assert torch.allclose(evidence[1], -entropy(logits[1]), atol=1e-6)


def test_of_as_many_classes_it_is_what_it_was_bit_by_bit() -> None:
    method = build("hnet-ent")
    for task in range(3):
        learn(method, blobs(task), 10)
    logits, evidence = method.logits_and_evidence(blobs(0).x)
    assert torch.equal(evidence, -entropy(logits))


def test_a_screen_finds_the_same() -> None:
    plain, screened = (
        build("hnet-ent", inference=EntropySettings(screen=s)) for s in (None, "bf16")
    )
    for method in (plain, screened):
        for task, classes in enumerate((2, 3, 2)):
            learn(method, blobs(task, classes=classes), 40, classes)
    x = torch.cat([blobs(task).x for task in range(3)])
    assert torch.equal(plain.inferred(x)[1], screened.inferred(x)[1])


def test_one_class_has_no_entropy() -> None:
    made = learner("entropy", iterations=5).fit(*digits(LEARNED, 0, 1), task="a")
    for each, task in ((made, "b"), (learner("entropy"), "a")):
        with pytest.raises(ConfigError, match=r"two or more; got a task with one class; infer"):
            each.fit(*digits(LEARNED, 2), task=task)
    assert made.tasks == ["a"]


@pytest.mark.parametrize("way", ["likelihood", None])
def test_one_class_has_a_likelihood(way) -> None:
    """Few samples of one class against many of four."""
    made = learner(way, **BRISK)
    made.fit(*digits(LEARNED, 0, 1, 2, 3), task="four")
    x, y = digits(LEARNED, 6)
    made.fit(x[:40], y[:40], task="one")
    assert made.score(*digits(NEW, 6), task="one") == 1
    if way is not None:
        x, y = digits(NEW, 0, 1, 2, 3, 6)
        assert np.mean(made.predict_task(x).tasks == np.where(y == 6, "one", "four")) > 0.95


# Going on with some of the labels


@pytest.mark.parametrize("way", [None, "likelihood"])
def test_what_it_knows_of_other_labels_stays(way) -> None:
    """Unprotected, the others fall from 0.98 to 0.0, and all to 0.22."""
    made = learner(way, **BRISK).fit(*digits(LEARNED), task="digits")
    others, whole = digits(NEW, *range(2, 10)), digits(NEW)
    before = made.score(*others, task="digits"), made.score(*whole, task="digits")
    made.fit(*digits(LEARNED, 0, 1), task="digits")
    assert made.score(*others, task="digits") > 0.95 * before[0]
    assert made.score(*whole, task="digits") > 0.95 * before[1]
    assert made.score(*digits(NEW, 0, 1), task="digits") > 0.95


def test_it_learns_all_the_same() -> None:
    """Zeros and ones that are moved by two pixels: 0.01 before."""
    made = learner(None, **BRISK).fit(*digits(LEARNED), task="digits")
    x, y = digits(LEARNED, 0, 1)
    moved = np.roll(x.reshape(-1, 8, 8), 2, axis=2).reshape(-1, 64)
    assert made.score(moved, y, task="digits") < 0.3
    made.fit(moved, y, task="digits")
    assert made.score(moved, y, task="digits") > 0.95
    assert made.score(*digits(NEW, *range(2, 10)), task="digits") > 0.6


def three_tasks(name: str, beta: float = 1.0) -> HypernetMethod:
    method = build(name, regularizer=RegularizerSettings(beta=beta))
    for task in range(3):
        learn(method, blobs(task), 20)
    return method


def go_on(method: HypernetMethod, start: int = 0, stop: int = 10) -> None:
    batch = blobs(1).batch(torch.nonzero(blobs(1).y == 0).squeeze(1))
    if start == 0:
        method.continue_in_part(1, 10)
    for _ in range(start, stop):
        method.update(batch)
    if stop == 10:
        method.end_task([batch])


@pytest.mark.parametrize("name", ["hnet", "hnet-ent", "hnet-lik"])
def test_the_task_itself_is_protected_like_the_others(name: str) -> None:
    method = three_tasks(name)
    before = {n: memory.condition(range(3)).detach() for n, memory in method.parts.items()}
    go_on(method, stop=4)
    saved = build(name, regularizer=RegularizerSettings(beta=1.0))
    saved.load_state_dict(copy.deepcopy(method.state_dict()))
    saved.generators.load_state_dict(method.generators.state_dict())
    for each in (method, saved):
        assert each.trainer.held == [0, 1, 2]
        assert len(each.trainer.protection.snapshot.conditions) == 3
        go_on(each, start=4)
    assert same_state(method.state_dict(), saved.state_dict())
    for loss, memory in method.parts.items():
        assert torch.equal(before[loss], memory.condition(range(3)))


def test_nothing_is_protected_by_a_beta_of_0() -> None:
    one, other = three_tasks("hnet", 0.0), three_tasks("hnet", 0.0)
    go_on(one)
    batch = blobs(1).batch(torch.nonzero(blobs(1).y == 0).squeeze(1))
    other.continue_task(1, 10)
    for _ in range(10):
        other.update(batch)
    other.end_task([batch])
    assert same_state(one.state_dict(), other.state_dict())


def test_a_class_without_samples_keeps_its_spread() -> None:
    logits, labels = torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([0])
    assert torch.equal(
        mean_spreads(logits, labels, torch.tensor([7.0, 8.0, 9.0])), torch.tensor([1.0, 8.0, 9.0])
    )


@pytest.mark.parametrize("method", ["finetune", "ewc", "si", "separate"])
def test_a_method_that_cannot_keep_them_says_so_first(method) -> None:
    made = learner(None, method=method, iterations=3).fit(*digits(LEARNED), task="digits")
    told = rf"^{method} goes on with all labels of a task; got 2 of 10; add samples"
    with pytest.warns(UserWarning, match=told) as found:
        made.fit(*digits(LEARNED, 0, 1), task="digits")
    assert found[0].filename == __file__
    assert "\n" not in str(found[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.fit(*digits(LEARNED), task="digits")


# Counts


@pytest.mark.parametrize("method", ["hnet", "finetune", "separate"])
def test_numbers_stored_are_those_of_the_folder(method, tmp_path) -> None:
    """Two tasks' statistics beside the template's: 2 · 8, and a count of batches."""
    layers = nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)
    made = ContinualLearner(nn.Sequential(*layers), None, method=method, iterations=2)
    for task in range(2):
        made.fit(*digits(LEARNED, 2 * task, 2 * task + 1), task=task)
    stored = int(re.search(r"(\d+) numbers stored, with buffers$", made.summary())[1])
    own = made._knowledge.method
    sets = {"hnet": 3, "finetune": 2, "separate": 3}[method]
    assert stored == own.kept + 17 * sets
    made.save(tmp_path / "learner")
    _, state = decode_state(tmp_path / "learner", lambda _: None)
    state.pop("generators")
    leaves = torch.utils._pytree.tree_leaves(state)
    assert stored == sum(each.numel() for each in leaves if isinstance(each, torch.Tensor))


def test_what_likelihoods_take_off_inputs_is_stored_too() -> None:
    """A shift and a scale of each entry, and what is calibrated, for two tasks."""
    made = learner("likelihood", iterations=2)
    for task in range(2):
        made.fit(*((a + 5 if a is not None else a) for a in digits(LEARNED, 0, 1)), task=task)
    assert made._knowledge.stored == made._knowledge.method.kept + 2 * (2 * 64 + 106)
