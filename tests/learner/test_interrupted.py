"""A fit that ends early leaves the learner as it was, bit by bit."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from learners import QUICK, clouds, held, learner, mlp, same, words

from hypermnesia import ContinualLearner
from hypermnesia.errors import DataError, HypermnesiaError, RunError
from hypermnesia.learner import arrays, knowledge
from hypermnesia.learner import learner as learner_module


class Failing(torch.utils.data.Dataset):
    """Raises when its samples have been read so many times."""

    def __init__(self, error: BaseException, after: int) -> None:
        self.x, self.y = clouds(2)
        self.error, self.left = error, after

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index):
        self.left -= 1
        if self.left < 0:
            raise self.error
        return self.x[index], self.y[index]


class Spoiled(Failing):
    """Gives inputs that are no numbers when its samples have been read so many times."""

    def __init__(self, after: int) -> None:
        super().__init__(ValueError(), after)

    def __getitem__(self, index):
        try:
            return super().__getitem__(index)
        except ValueError:
            return self.x[index] * np.nan, self.y[index]


def before_updates(way: str | None) -> int:
    """How often samples are read first: to try the model, for their targets, to find the centre."""
    return 4 + 180 if way == "likelihood" else 4 + 90


@pytest.mark.parametrize("way", [None, "likelihood", "entropy"])
@pytest.mark.parametrize("task", ["c", "a"], ids=["new task", "known task"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("broken file")], ids=repr)
def test_by_the_data(way, task, error) -> None:
    made = learner(way, iterations=5)
    before, told = held(made), made.summary()
    for after in (10, before_updates(way) + 40):
        data = Failing(error, after)
        data.y = words(data.y) if task == "a" else data.y
        with pytest.raises(type(error)):
            made.fit(data, task=task)
        assert same(before, held(made))
        assert made.summary() == told
    made.fit(*clouds(2), task="d")
    assert made.tasks == ["a", "b", "d"]


@pytest.mark.parametrize("way", [None, "likelihood"])
def test_by_a_loss_that_is_no_number(way, monkeypatch) -> None:
    made = learner(way, iterations=5)
    before = held(made)
    with pytest.raises(DataError, match="inputs must be finite"):
        made.fit(Spoiled(before_updates(way) + 40), task="c")
    assert same(before, held(made))
    monkeypatch.setattr(arrays, "finite", lambda x: x)  # as if it came about within
    with pytest.raises(RunError, match=r"must stay finite; .*the learner is as it was"):
        made.fit(Spoiled(before_updates(way) + 40), task="c")
    assert same(before, held(made))


@pytest.mark.parametrize(
    ("place", "at"),
    [(learner_module, "learn"), (knowledge, "EarlyStopping"), (knowledge.Knowledge, "end")],
    ids=["updates", "begin", "end"],
)
def test_between_any_steps(place, at, monkeypatch) -> None:
    made = learner("likelihood", iterations=5)
    before = held(made)
    plain = getattr(place, at)

    def interrupted(*arguments):
        plain(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(place, at, interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.fit(*clouds(2), task="c")
    assert same(before, held(made))


def test_what_is_learned_afterwards_is_what_would_have_been() -> None:
    """Random numbers, too, are where they were."""
    one, other = learner("likelihood", iterations=5), learner("likelihood", iterations=5)
    with pytest.raises(ValueError, match="broken"):
        one.fit(Failing(ValueError("broken"), before_updates("likelihood") + 50), task="c")
    for made in (one, other):
        made.fit(*clouds(2), task="c")
    assert same(held(one), held(other))


def test_the_first_fit_may_fail_too() -> None:
    made = ContinualLearner(mlp(), None, **QUICK)
    with pytest.raises(HypermnesiaError):
        made.fit(np.full((20, 6), np.nan), np.arange(20) % 2, task="a")
    assert made.tasks == []
    made.fit(*clouds(0), task="a")
    assert made.tasks == ["a"]


class Pressed(Failing):
    """Sends this process the signal of Ctrl-C, which a process in the background ignores."""

    def __getitem__(self, index):
        try:
            return super().__getitem__(index)
        except ValueError:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.kill(os.getpid(), signal.SIGINT)
            return self.x[index], self.y[index]


@pytest.mark.parametrize("task", ["c", "a"], ids=["new task", "known task"])
@pytest.mark.parametrize(
    ("data", "error"),
    [
        (lambda: Pressed(ValueError(), 130), KeyboardInterrupt),
        (lambda: Failing(OSError("gone"), 130), OSError),
        (lambda: Spoiled(130), RunError),
    ],
    ids=["Ctrl-C", "data", "NaN"],
)
def test_values_are_held_too(data, error, task, monkeypatch) -> None:
    monkeypatch.setattr(arrays, "finite", lambda x: x)
    made = ContinualLearner(mlp(outputs=1), None, iterations=5, batch_size=16)
    tasks = {name: clouds(number)[0] for number, name in enumerate("ab")}
    for name, x in tasks.items():
        made.fit(x, x[:, 0], task=name)
    before = [made.predict(x, name) for name, x in tasks.items()]
    spoiling = data()
    spoiling.y = spoiling.x[:, 1]
    with pytest.raises(error):
        made.fit(spoiling, task=task)
    assert same(before, [made.predict(x, name) for name, x in tasks.items()])
    assert made.tasks == ["a", "b"]
