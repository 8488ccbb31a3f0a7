"""A known task gets further classes: its old ones stay, whether they come with samples or not."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from learners import QUICK, clouds, held, learner, mlp, same, words
from torch import nn

from hypermnesia import ContinualClassifier, ContinualLearner
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError, DataError, TargetError
from hypermnesia.learner.whole import Whole

pytestmark = pytest.mark.filterwarnings("ignore:learning .* changed the weights")
NEW = ["class 0b", "class 9"]  # the first of them sorts between those of task a


def later(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Samples of new classes of task a alone."""
    x, y = clouds(7, n=n)
    return x, np.array(NEW)[y]


def extended(infer_task: str | None = "gaussian", **settings: object) -> ContinualLearner:
    return learner(infer_task, **settings).fit(*later(), task="a", classes=NEW)


def test_digits_are_added_without_samples_of_the_old_ones() -> None:
    """Five classes and then five more; 0.00 of the old ones without rehearsal, 0.99 with it."""
    datasets = pytest.importorskip("sklearn.datasets")
    found = datasets.load_digits()
    x, y = (found.data / 16).astype(np.float32), found.target
    test = np.arange(len(y)) % 3 == 0
    old, new = y < 5, y >= 5
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 2))
    made = ContinualLearner(model, iterations=250, lr=0.003).fit(
        x[old & ~test], y[old & ~test], task="a"
    )
    made.fit(x[new & ~test], y[new & ~test], task="a", classes=range(5, 10))
    assert made.classes("a").tolist() == [*range(10)]
    assert made.score(x[old & test], y[old & test], task="a") > 0.9
    assert made.score(x[new & test], y[new & test], task="a") > 0.9


def test_before_the_first_update_old_classes_have_their_logits() -> None:
    """To rounding: a product with a wider matrix may differ in its last digit."""
    made = learner("gaussian", tasks=3)
    method = made._learned.copy().method
    memory, x = method.memory, torch.from_numpy(clouds(0)[0])
    before = {n: p.clone() for n, p in memory.hypernet.named_parameters()}
    plan = memory.plans[1]
    weights = memory.hypernet(memory.condition([1]), plan)
    logits = [memory.run(task, x, training=False) for task in range(3)]
    method.extend_task(1, 4, 10, partly=True)
    for name, now in memory.hypernet.named_parameters():
        assert torch.equal(now[: len(before[name])], before[name])
    assert torch.equal(memory.hypernet(memory.condition([1]), plan), weights)
    for task in range(3):
        now = memory.run(task, x, training=False)[:, : logits[task].shape[1]]
        torch.testing.assert_close(now, logits[task], rtol=1e-5, atol=1e-5)
    assert method.scenario.heads == (2, 7, 2)


def test_new_classes_are_learned_and_old_ones_stay() -> None:
    made, (x, y) = extended(iterations=100), later()
    assert made.classes("a").tolist() == ["class 0", "class 0b", "class 1", "class 9"]
    assert made.score(x, y, task="a") > 0.9
    x, y = clouds(0)
    assert made.score(x, words(y), task="a") > 0.9
    assert made.score(x, words(y)) > 0.9  # its task is still recognised
    x, y = clouds(1, classes=3)
    assert made.score(x, words(y, 1), task="b") > 0.9


def test_it_is_extended_once_more_removed_and_merged() -> None:
    made, third = extended(), (clouds(8, classes=1, n=40)[0], ["class 7"] * 40)
    made.fit(*third, task="a", classes=["class 7"])
    assert made.score(*later(), task="a") > 0.9
    assert made.score(*third, task="a") > 0.9
    other = learner("gaussian", tasks=1, iterations=300).rename("a", "c")
    errors = other.merge(made.remove("b"))
    assert other.classes("a").tolist() == made.classes("a").tolist()
    assert errors["a"] < 0.3
    assert other.score(*third, task="a") > 0.9
    before = other.predict_proba(third[0], "c")
    assert np.array_equal(other.remove("a").predict_proba(third[0], "c"), before)


def test_an_export_has_the_sorted_classes() -> None:
    made, x = extended(), torch.from_numpy(clouds(7)[0])
    with torch.no_grad():
        logits = made.export("a")(x)
    shares = torch.from_numpy(made.predict_proba(x, "a"))
    torch.testing.assert_close(logits.softmax(dim=1), shares, rtol=1e-4, atol=1e-5)


def test_what_one_file_holds_answers_the_same() -> None:
    (x, y), (old, classes), other = later(), clouds(0), clouds(1)[0]
    x, y = np.concatenate([x, old]), [*y, *words(classes)]
    made, x = learner("entropy").fit(x, y, task="a", classes=NEW), np.concatenate([x, other])
    whole = Whole(made._learned, made.classes().tolist()).eval()
    for number, task in ((-1, None), (0, "a"), (1, "b")):
        with torch.no_grad():
            labels, *_ = whole(torch.from_numpy(x), torch.full((len(x),), number))
        first, second = np.sort(made.predict_proba(x, task))[:, :-3:-1].T
        clear = first - second > 1e-6  # both networks may be equally sure
        assert clear.mean() > 0.5
        assert np.array_equal(made.classes()[labels][clear], made.predict(x, task)[clear])


def test_it_is_saved(tmp_path: Path) -> None:
    made = extended()
    made.save(tmp_path / "saved")
    loaded = ContinualLearner.load(tmp_path / "saved", mlp())
    assert same(held(loaded), held(made))
    assert loaded.classes("a").tolist() == made.classes("a").tolist()
    for each in (made, loaded):
        each.fit(*clouds(9, classes=1, n=40)[:1], ["d"] * 40, task="a", classes=["d"])
    assert same(held(loaded), held(made))


def test_an_interruption_changes_nothing() -> None:
    made = learner("gaussian")
    before = held(made)

    class Cut:
        def on_update(self, iteration: int, metrics: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made.fit(*later(), task="a", classes=NEW, callbacks=Cut())
    assert same(held(made), before)
    assert made.classes("a").tolist() == ["class 0", "class 1"]


@pytest.mark.parametrize("infer_task", [None, "entropy", "likelihood"])
def test_evidence_that_draws_nothing_needs_samples_of_all(infer_task: str | None) -> None:
    made = learner(infer_task, iterations=150)
    before = held(made)
    with pytest.raises(ConfigError, match=r"old classes.*infer_task='gaussian'"):
        made.fit(*later(), task="a", classes=NEW)
    assert same(held(made), before)
    (x, y), (old, classes) = later(), clouds(0)
    made.fit(np.concatenate([x, old]), [*y, *words(classes)], task="a", classes=NEW)
    assert made.score(x, y, task="a") > 0.9
    assert made.score(old, words(classes), task="a") > 0.9


def test_what_cannot_be_extended_is_refused() -> None:
    made = learner("gaussian")
    with pytest.raises(DataError, match=r"got 'class 0b'.*name them in classes"):
        made.fit(*later(), task="a")
    with pytest.raises(DataError, match="of one kind; got int and str"):
        made.fit(*later(), task="a", classes=[3])
    with pytest.raises(ConfigError, match="extend them; got method='ewc'"):
        learner("auto", method="ewc", iterations=5).fit(*later(), task="a", classes=NEW)
    tied = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    tied[2].weight = tied[0].weight
    made = ContinualLearner(tied, "gaussian", **QUICK).fit(*clouds(0, classes=6), task="a")
    with pytest.raises(TargetError, match="tied"):
        made.fit(*clouds(0, classes=7), task="a", classes=[6])


def test_the_estimator_extends_a_task_by_the_same_word() -> None:
    x, y = clouds(0, classes=4, n=160)
    made = ContinualClassifier(**QUICK).partial_fit(x[y < 2], y[y < 2], task="a")
    made.partial_fit(x[y > 1], y[y > 1], task="a", classes=[2, 3])
    assert made.classes_.tolist() == [0, 1, 2, 3]
    assert made.score(x, y, task="a") > 0.9


def test_a_state_in_the_midst_of_it_goes_on_alike() -> None:
    made = learner("gaussian")
    one, other = (made._learned.copy() for _ in range(2))
    x, y = map(torch.from_numpy, clouds(7))
    batch = Batch(x, y + 2, 0 * y)
    one.method.extend_task(0, 2, 6, partly=True)
    one.method.update(batch)
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    for each in (one, other):
        for _ in range(3):
            each.method.update(batch)
    assert torch.equal(one.method.memory.weights(0), other.method.memory.weights(0))
