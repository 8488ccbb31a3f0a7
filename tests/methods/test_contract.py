"""Every method in every scenario keeps the protocol's promises, and the check can fail."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from hypermnesia.errors import ConfigError
from hypermnesia.methods import METHODS, TaskSpec
from hypermnesia.methods.plain import Finetune
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.state_files import pack, unpack
from hypermnesia.testing import check_method, same_state
from problems import CPU, Confident, batches, blobs, build, learn, small_net

CASES = [
    (name, scenario)
    for name in METHODS
    for scenario in (("task",) if METHODS[name].trained == "once" else METHODS[name].scenarios)
]


@pytest.mark.parametrize(("name", "scenario"), CASES)
def test_it_answers_where_its_entry_says(name: str, scenario: str) -> None:
    entry = METHODS[name]
    once = entry.trained == "once"
    method = build(name, "task" if once else scenario)
    assert method.answers == (entry.scenarios if once else (scenario,))


@pytest.mark.parametrize(("name", "scenario"), CASES)
def test_method_keeps_the_contract(name: str, scenario: str) -> None:
    check_method(lambda generators: build(name, scenario, generators=generators))


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "rmsprop"])
@pytest.mark.parametrize("kind", ["direct", "closed", "sampled"])
def test_hnet_keeps_it_with_every_optimiser_and_regulariser(optimizer: str, kind: str) -> None:
    settings = OptimizerSettings(optimizer, lr=0.01)
    regularizer = RegularizerSettings(0.1, kind, subset=1 if kind == "sampled" else None)
    check_method(
        lambda generators: build(
            "hnet", generators=generators, optimizer=settings, regularizer=regularizer
        )
    )


@pytest.mark.parametrize("name", list(METHODS))
def test_states_survive_a_checkpoint(name: str) -> None:
    method = build(name)
    learn(method, blobs(0), 3)
    method.begin_task(TaskSpec(2, 3))
    method.update(batches(blobs(1), 1)[0])
    state = method.state_dict()
    again = build(name)
    again.load_state_dict(unpack(*pack(state)))
    assert same_state(again.state_dict(), state)


def confident(generators: Generators) -> Confident:
    settings = {"optimizer": OptimizerSettings(lr=0.01), "device": CPU}
    return Confident(small_net(), "task", generators=generators, **settings)


def test_a_method_that_infers_the_task_keeps_it_in_every_scenario() -> None:
    check_method(confident)


def answer_with_another_task(self: Confident, x, task=None, scenario=None):
    prediction = original_confident(self, x, task, scenario)
    if scenario != "class":
        return prediction
    return replace(prediction, tasks=1 - prediction.tasks)


def forget_a_column(self: Confident, x, task=None, scenario=None):
    prediction = original_confident(self, x, task, scenario)
    if scenario != "domain":
        return prediction
    return replace(prediction, logits=prediction.logits[:, 1:])


original_confident = Confident.predict


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (answer_with_another_task, "one of the inferred task's"),
        (forget_a_column, "a logit for each column"),
    ],
)
def test_promises_hold_in_the_other_scenarios_too(monkeypatch, broken, promise) -> None:
    monkeypatch.setattr(Confident, "predict", broken)
    with pytest.raises(AssertionError, match=promise):
        check_method(confident)


@pytest.mark.parametrize("name", [n for n in METHODS if METHODS[n].trained == "each"])
def test_a_scenario_that_it_does_not_answer_in_is_refused(name: str) -> None:
    method = build(name)
    learn(method, blobs(0), 2)
    (other, *_) = {"task", "domain", "class"} - set(method.answers)
    with pytest.raises(ConfigError, match=f"evaluated in: .*got '{other}'"):
        method.predict(blobs(0).x, 0, other)


def forget_moments(self: Finetune, state: dict) -> None:
    original(self, state)
    if self.descent.optimizer:
        self.descent.optimizer.state.clear()


def count_evaluations(self: Finetune, x, task=None, scenario=None):
    self.descent.iteration += 1
    return original_predict(self, x, task, scenario)


def draw_globally(self: Finetune, batch):
    torch.rand(1)
    return original_update(self, batch)


def ignore_the_seed(self: Finetune, spec) -> None:
    self.generators = Generators(0)
    original_begin(self, spec)


CALLS = itertools.count()


def depend_on_the_past(self: Finetune, batch):
    return original_update(self, replace(batch, x=batch.x + next(CALLS)))


original, original_predict, original_update, original_begin = (
    Finetune.load_state_dict,
    Finetune.predict,
    Finetune.update,
    Finetune.begin_task,
)


@pytest.mark.parametrize(
    ("name", "broken", "promise"),
    [
        ("load_state_dict", forget_moments, "loading what was saved"),
        ("predict", count_evaluations, "evaluating leaves"),
        ("update", draw_globally, "global generator"),
        ("begin_task", ignore_the_seed, "the seed matters"),
        ("update", depend_on_the_past, "same seed, same run"),
    ],
)
def test_a_broken_promise_is_named(monkeypatch, name, broken, promise) -> None:
    monkeypatch.setattr(Finetune, name, broken)
    with pytest.raises(AssertionError, match=promise):
        check_method(lambda generators: build("finetune", "class", generators=generators))
