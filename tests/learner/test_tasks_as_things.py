"""Tasks are removed, renamed and taken over, and called by whatever JSON can hold."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from learners import QUICK, clouds, held, learner, mlp, same, words

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError, RunError
from hypermnesia.hypernet.memory import WeightMemory

# Fits this short leave old tasks where they may.
pytestmark = pytest.mark.filterwarnings("ignore:learning .* changed the weights")


def memory_of(made: ContinualLearner) -> WeightMemory:
    """Where the weights of all tasks are."""
    return made._learned.method.memory


def asked(made: ContinualLearner, tasks: Iterable[str]) -> list[np.ndarray]:
    """Probabilities of some tasks."""
    x = np.concatenate([clouds(task)[0] for task in range(3)])
    return [made.predict_proba(x, task) for task in tasks]


@pytest.mark.parametrize("infer_task", [None, "entropy", "likelihood"])
def test_the_others_answer_as_before(infer_task: str | None) -> None:
    for gone, left in (("a", "bc"), ("b", "ac"), ("c", "ab")):
        made = learner(infer_task, tasks=3, iterations=20)
        before = asked(made, left)
        kept = memory_of(made).kept
        assert made.remove(gone) is made
        assert made.tasks == list(left)
        assert same(asked(made, left), before)
        assert memory_of(made).kept < kept
        if infer_task is not None:
            assert set(made.predict_task(clouds(0)[0]).tasks) <= set(left)
        with pytest.raises(ConfigError, match=f"'{gone}'"):
            made.predict(clouds(0)[0], gone)


def test_a_removed_task_is_in_no_file(tmp_path: Path) -> None:
    made = learner("likelihood", iterations=20)
    embedding = memory_of(made).condition([1]).detach().numpy()[0]
    made.save(tmp_path / "before")
    made.remove("b").save(tmp_path / "after")
    found = [(tmp_path / n / "tensors.safetensors").read_bytes() for n in ("before", "after")]
    assert [embedding.tobytes() in content for content in found] == [True, False]
    assert "class 2" not in (tmp_path / "after" / "state.json").read_text()
    loaded = ContinualLearner.load(tmp_path / "after", mlp())
    assert same(held(loaded), held(made))


def test_chunks_and_rows_that_only_it_used_go() -> None:
    made = learner(None, tasks=1, iterations=5)
    small = {name: p.shape for name, p in memory_of(made).hypernet.named_parameters()}
    x, y = clouds(1, classes=60, n=240)
    made.fit(x, y, task="wide")
    assert {n: p.shape for n, p in memory_of(made).hypernet.named_parameters()} != small
    made.remove("wide")
    assert {n: p.shape for n, p in memory_of(made).hypernet.named_parameters()} == small
    made.fit(x, y, task="wide")
    assert made.tasks == ["a", "wide"]


def test_learning_goes_on_after_a_removal() -> None:
    made = learner("entropy", tasks=3)
    made.remove("a")
    x, y = clouds(3)
    made.fit(x, words(y, 3), task="d")
    assert made.tasks == ["b", "c", "d"]
    assert made.score(x, words(y, 3), task="d") > 0.9
    x, y = clouds(2)
    made.fit(x, words(y, 2), task="c")
    assert made.score(x, words(y, 2), task="c") > 0.9


def test_an_erased_task_is_made_no_more() -> None:
    made = ContinualLearner(mlp(), None, **{**QUICK, "iterations": 300})
    for task, name in enumerate("abc"):
        x, y = clouds(task)
        made.fit(x, words(y, task), task=name)
    scores = [made.score(clouds(t)[0], words(clouds(t)[1], t), task="abc"[t]) for t in (0, 2)]
    memory = memory_of(made)
    own, plan, before = memory.condition([1]).detach(), memory.plans[1], memory.weights(1).detach()
    made.remove("b", erase=True)
    memory = memory_of(made)
    with torch.no_grad():
        after, others = memory.hypernet(own, plan)[0], [memory.weights(t) for t in (0, 1)]
    nearest = min(float((after - other).norm()) for other in others)
    assert nearest < 0.2 * float((after - before).norm())
    for score, task, name in zip(scores, (0, 2), "ac", strict=True):
        x, y = clouds(task)
        assert made.score(x, words(y, task), task=name) > score - 0.1


def test_without_its_last_task_a_learner_is_new() -> None:
    made = learner(None, tasks=1, iterations=5).remove("a")
    assert made.tasks == []
    with pytest.raises(ConfigError, match="fitted first"):
        made.remove("a")
    made.fit(*clouds(0), task=3)
    assert made.tasks == [3]


def test_what_keeps_no_task_apart_is_not_changed() -> None:
    made = learner(None, method="ewc", iterations=5)
    with pytest.raises(ConfigError, match=r"keep tasks apart .* got method='ewc'"):
        made.remove("a")
    assert made.tasks == ["a", "b"]


def test_a_task_is_renamed() -> None:
    made = learner("entropy", iterations=5)
    before = asked(made, "ab")
    made.rename("a", "first")
    assert made.tasks == ["first", "b"]
    assert same(asked(made, ["first", "b"]), before)
    for new, told in (("b", "'b' twice"), (3, "named by strings")):
        with pytest.raises(ConfigError, match=told):
            made.rename("first", new)
    with pytest.raises(ConfigError, match="must be one that exists; got 'a'"):
        made.rename("a", "c")


NAMES = [[1, 2], [0.5, -1.0], [True, False], [("site", 3), ("site", (1.5, "x"))], ["1", "x"]]


@pytest.mark.parametrize("names", NAMES)
def test_names_are_what_json_can_hold(names: list[object], tmp_path: Path) -> None:
    made = ContinualLearner(mlp(), None, **{**QUICK, "iterations": 3})
    for task, name in enumerate(names):
        made.fit(*clouds(task), task=name)
    made.save(tmp_path / "learner")
    loaded = ContinualLearner.load(tmp_path / "learner", mlp())
    assert loaded.tasks == names
    assert [type(name) for name in loaded.tasks] == [type(name) for name in names]
    x = clouds(0)[0]
    for name in names:
        assert np.array_equal(loaded.predict(x, name), made.predict(x, name))


def test_names_that_are_equal_but_of_other_kinds() -> None:
    made = ContinualLearner(mlp(), None, **{**QUICK, "iterations": 3}).fit(*clouds(0), task=1)
    made.fit(*clouds(0), task=np.int64(1))
    assert made.tasks == [1]
    for name, (ask, told) in product((True, 1.0), ((made.predict, "must be one that exists"),)):
        with pytest.raises(ConfigError, match=told):
            ask(clouds(0)[0], name)
        with pytest.raises(ConfigError, match="all of them by finite numbers"):
            made.fit(*clouds(0), task=name)


def test_two_learners_become_one() -> None:
    one = learner("entropy", tasks=2, iterations=300)
    other = ContinualLearner(mlp(), "entropy", seed=1, **{**QUICK, "iterations": 300})
    x, y = clouds(5, classes=4)
    other.fit(x, y, task="f")
    before = one.score(clouds(0)[0], words(clouds(0)[1], 0), task="a")
    errors = one.merge(other)
    assert list(errors) == ["f"]
    assert 0 < errors["f"] < 0.3
    assert one.tasks == ["a", "b", "f"]
    assert one.score(x, y, task="f") > other.score(x, y, task="f") - 0.05
    assert one.score(clouds(0)[0], words(clouds(0)[1], 0), task="a") > before - 0.05
    assert other.tasks == ["f"]
    one.remove("a").fit(*clouds(4), task="e")


def test_learners_that_cannot_become_one() -> None:
    one = learner("entropy", iterations=3)
    with pytest.raises(ConfigError, match="'a' twice"):
        one.merge(learner("entropy", iterations=3))
    wide = ContinualLearner(mlp(inputs=7), "entropy", **{**QUICK, "iterations": 3})
    wide.fit(*clouds(0, inputs=7), task="z")
    with pytest.raises(RunError, match="of another model"):
        one.merge(wide)
    told = learner(None, iterations=3).rename("a", "y").rename("b", "z")
    with pytest.raises(ConfigError, match="same infer_task; got entropy and None"):
        one.merge(told)
    likely = learner("likelihood", iterations=3)
    with pytest.raises(ConfigError, match="kept apart for each task"):
        likely.merge(learner("likelihood", iterations=3).rename("a", "y").rename("b", "z"))
    assert one.tasks == likely.tasks == ["a", "b"]


def test_a_fit_of_tasks_by_weights_alone_needs_the_same_shared_values() -> None:
    def partly(scale: float) -> ContinualLearner:
        model = mlp()
        with torch.no_grad():
            model[0].weight.mul_(scale)
        model[0].requires_grad_(requires_grad=False)
        made = ContinualLearner(model, None, **{**QUICK, "iterations": 3})
        return made.fit(*clouds(0), task=f"of {scale}")

    with pytest.raises(ConfigError, match="share must be the same in both; got other values"):
        partly(1.0).merge(partly(2.0))
    assert partly(1.0).merge(partly(1.0).rename("of 1.0", "b")).keys() == {"b"}
