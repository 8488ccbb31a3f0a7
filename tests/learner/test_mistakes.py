"""Mistakes that people make, each told in one line: the rule, what was got, the hint."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learners import clouds, held, learner, mlp, same
from torch import nn
from torch.utils.data import TensorDataset

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError, DataError, HypermnesiaError, TargetError

X, Y = clouds(0)


class Inner(nn.Module):
    """Its last linear layer is not its output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.filter, self.mix = nn.Conv1d(1, 5, 6), nn.Linear(6, 6)

    def forward(self, x):
        return self.filter(self.mix(x)[:, None])[:, :, 0]


class NoLinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(6, 3))

    def forward(self, x):
        return x @ self.weight


MODELS = {
    "no module": ("mlp", "must be a torch.nn.Module; got str"),
    "a class": (nn.Linear, "got the class Linear; make one"),
    "head inside": (Inner(), r"\(batch, 2\) for a task with 2 outputs.*head="),
    "no head": (NoLinear(), r"got \(2, 3\); name the output layer"),
    "softmax": (nn.Sequential(nn.Linear(6, 2), nn.Softmax(1)), "leave the softmax"),
    "all frozen": (nn.Linear(6, 2).requires_grad_(False), "not frozen; got Linear with none"),
    "no parameters": (nn.Flatten(), "not frozen; got Flatten with none"),
    "doubles": (mlp().double(), "must be torch.float32; got .* of torch.float64"),
}


@pytest.mark.parametrize(("model", "told"), MODELS.values(), ids=MODELS)
def test_models(model, told) -> None:
    with pytest.raises(TargetError, match=told) as found:
        ContinualLearner(model, None, iterations=1).fit(X, Y, task="a")
    assert "\n" not in str(found.value)


DATA = {
    "a path": (("data.csv",), "numbers; got a str .*a Dataset or a DataLoader"),
    "a dict": (({"x": X, "y": Y},), "got x, y; give one tensor"),
    "a generator": ((zip(X, Y, strict=True),), "numbers; got a zip"),
    "a list of two": (([X, Y],), "numbers; got a list of parts of different shapes"),
    "one target": ((X, 3), r"must be a sequence; got a single int; give \[y\]"),
    "a number": ((3.0, [1]), "a single number"),
    "floats after classes": ((X, X[:, 0]), "learns classes; got floats; make another learner"),
}


@pytest.mark.parametrize(("data", "told"), DATA.values(), ids=DATA)
def test_data(data, told) -> None:
    made = learner(tasks=1, iterations=1)
    before = held(made)
    with pytest.raises(DataError, match=told):
        made.fit(*data, task="b")
    assert same(before, held(made))


def test_an_error_of_the_data_set_is_its_own() -> None:
    class Reading(TensorDataset):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            if self.reads > self.good:
                raise ValueError("broken file")
            return super().__getitem__(index)

    for good in (0, 92, 94):  # when the model is tried, its new head is, and it learns
        data = Reading(torch.as_tensor(X), torch.as_tensor(Y))
        data.good = good
        with pytest.raises(ValueError, match=r"^broken file$"):
            ContinualLearner(mlp(), None).fit(data, task="a")


def test_held_out_data_are_tried_too() -> None:
    with pytest.raises(TargetError, match=r"must take inputs of shape \(2, 5\)"):
        ContinualLearner(mlp(), None).fit(X, Y, task="a", validation=(X[:9, :5], Y[:9]))


@pytest.mark.parametrize("way", [None, "likelihood", "entropy"])
@pytest.mark.parametrize("x", [X[:, :5], X[0]], ids=["too narrow", "one sample"])
def test_inputs_to_answer_for(way, x) -> None:
    made = learner(way, iterations=1)
    for task in ["a"] if way is None else ["a", None]:
        with pytest.raises(TargetError, match="must take inputs of shape"):
            made.predict(x, task)


SETTINGS = {
    "a float": ({"iterations": 1e3}, "iterations must be a whole number; got 1000.0"),
    "a string": ({"lr": "0.1"}, "lr must be a number; got '0.1'"),
    "beta misspelt": ({"beta": "aut"}, "beta must be a number, or auto; got 'aut'"),
    "auto for another": ({"lr": "auto"}, "lr must be a number; got 'auto'"),
    "a bound that nothing holds": (
        {"beta": 0.1, "drift": 0.5},
        "drift is a bound that .*; got 0.5",
    ),
    "one pattern": ({"generated": "0.*"}, r"a list of patterns; got '0.\*'; give \['0.\*'\]"),
    "a device": ({"device": "gpu"}, "torch finds here; got 'gpu'"),
}


@pytest.mark.parametrize(("settings", "told"), SETTINGS.values(), ids=SETTINGS)
def test_settings(settings, told) -> None:
    with pytest.raises(ConfigError, match=told) as found:
        ContinualLearner(mlp(), **settings)
    assert isinstance(found.value, HypermnesiaError)
    assert "\n" not in str(found.value)


def test_labels_that_are_floats_can_be_asked_for() -> None:
    made = ContinualLearner(mlp(), None, problem="classification", iterations=1)
    made.fit(X, Y, task="a").fit(X, Y + 0.5, task="b")
    assert made.classes("b").tolist() == [0.5, 1.5]


def test_a_number_of_scores_that_needs_no_head() -> None:
    made = ContinualLearner(NoLinear(), None, iterations=1)
    assert made.fit(X, np.arange(90) % 3, task="a").classes().tolist() == [0, 1, 2]


class NotANumber(TensorDataset):
    def __getitem__(self, index):
        return torch.full((6,), torch.nan), super().__getitem__(index)[1]


NONE_OF_THIS = {
    "batches of one": ((X, Y), {"batch_size": 1}, {}, "batches of 1; give more samples"),
    "one sample": ((X[:1], Y[:1]), {"validation": 0.0}, {}, "batches of 1; give more samples"),
    "NaN to hold out": (
        (X, Y),
        {},
        {"validation": NotANumber(torch.zeros(9, 6), torch.arange(9) % 2)},
        "inputs must be finite",
    ),
    "nothing to hold out": ((X, Y), {}, {"validation": (X[:0], Y[:0])}, "validation needs samples"),
    "no numbers in a sample": ((X[:, :0], Y), {}, {}, r"must hold numbers; got shape \(90, 0\)"),
}


@pytest.mark.parametrize(
    ("data", "settings", "more", "told"), NONE_OF_THIS.values(), ids=NONE_OF_THIS
)
def test_what_nothing_can_be_learned_from(data, settings, more, told) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    made = ContinualLearner(model, None, iterations=60, **settings)
    with pytest.raises(DataError, match=told):
        made.fit(*data, task="a", **more)
    assert made.tasks == []
