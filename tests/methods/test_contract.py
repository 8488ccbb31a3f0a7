"""Every method in every scenario keeps the protocol's promises, and the check can fail."""

from __future__ import annotations

import pytest
import torch

from hypermnesia.methods import METHODS
from hypermnesia.methods.baselines import Finetune
from hypermnesia.methods.check import check_method
from problems import build

CASES = [(name, scenario) for name in METHODS for scenario in METHODS[name].scenarios]


@pytest.mark.parametrize(("name", "scenario"), CASES)
def test_method_keeps_the_contract(name: str, scenario: str) -> None:
    check_method(lambda generators: build(name, scenario, generators=generators))


def forget_moments(self: Finetune, state: dict) -> None:
    original(self, state)
    self.optimizer.state.clear()


def count_evaluations(self: Finetune, x, task=None):
    self.iteration += 1
    return original_predict(self, x, task)


def draw_globally(self: Finetune, batch):
    torch.rand(1)
    return original_update(self, batch)


original, original_predict, original_update = (
    Finetune.load_state_dict,
    Finetune.predict,
    Finetune.update,
)


@pytest.mark.parametrize(
    ("name", "broken", "promise"),
    [
        ("load_state_dict", forget_moments, "loading what was saved"),
        ("predict", count_evaluations, "evaluating leaves"),
        ("update", draw_globally, "global generator"),
    ],
)
def test_a_broken_promise_is_named(monkeypatch, name, broken, promise) -> None:
    monkeypatch.setattr(Finetune, name, broken)
    with pytest.raises(AssertionError, match=promise):
        check_method(lambda generators: build("finetune", "class", generators=generators))
