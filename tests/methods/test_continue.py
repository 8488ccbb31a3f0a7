"""Going on with a task that has ended: it learns, all others are held, later ones too."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hypermnesia.data.stream import each_once
from hypermnesia.errors import ConfigError
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.testing import same_state
from problems import blobs, build, learn

METHODS = ["hnet", "hnet-ent", "hnet-bayes", "hnet-lik"]


def three_tasks(name: str = "hnet", beta: float = 0.1, kind: str = "closed") -> HypernetMethod:
    regularizer = RegularizerSettings(beta=beta, kind=kind)
    method = build(name, regularizer=regularizer)
    for task in range(3):
        learn(method, blobs(task), 30)
    return method


def go_on(method: HypernetMethod, task: int = 1, start: int = 0, stop: int = 20) -> None:
    """Updates of a task on clouds that it has not seen."""
    batch = next(each_once([replace(blobs(7), task=task)], 64))
    if start == 0:
        method.continue_task(task, 20)
    for _ in range(start, stop):
        method.update(batch)
    if stop == 20:
        method.end_task([batch])


def weights(method: HypernetMethod) -> list[Tensor]:
    return [method.memory.weights(task).detach().clone() for task in range(3)]


@pytest.mark.parametrize("name", METHODS)
def test_it_learns_and_only_its_own_embedding_moves(name: str) -> None:
    method = three_tasks(name)
    x, y = blobs(7).x, blobs(7).y
    before = {n: m.condition(range(m.tasks)).detach() for n, m in method.parts.items()}
    poor = (method.predict(x, 1).logits.argmax(1) == y).float().mean()
    for _ in range(4):
        go_on(method)
    assert (method.predict(x, 1).logits.argmax(1) == y).float().mean() > max(0.9, float(poor))
    for loss, memory in method.parts.items():
        rows = memory.condition(range(memory.tasks))
        moved = [not torch.equal(*pair) for pair in zip(before[loss], rows, strict=True)]
        assert moved == [False, True, False]


@pytest.mark.parametrize("task", [0, 1, 2])
def test_all_others_are_held_later_ones_too(task: int) -> None:
    moved = {}
    for beta in (0.0, 1.0):
        method = three_tasks(beta=beta)
        before = weights(method)
        go_on(method, task)
        moved[beta] = torch.stack(
            [(a - b).norm() for a, b in zip(before, weights(method), strict=True)]
        )
    others = [t for t in range(3) if t != task]
    assert (moved[1.0][others] < 0.5 * moved[0.0][others]).all()


def test_the_closed_form_is_the_direct_sum_over_the_others(double: None) -> None:
    ends = []
    for kind in ("closed", "direct"):
        method = three_tasks(kind=kind)
        go_on(method)
        ends.append(torch.cat(weights(method)))
    assert torch.allclose(*ends, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_saving_midway_changes_nothing(name: str) -> None:
    method = three_tasks(name)
    go_on(method, stop=10)
    loaded = build(name)
    loaded.load_state_dict(copy.deepcopy(method.state_dict()))
    loaded.generators.load_state_dict(method.generators.state_dict())
    for each in (method, loaded):
        go_on(each, start=10)
    assert same_state(method.state_dict(), loaded.state_dict())


def test_calibration_is_taken_anew() -> None:
    method = build("hnet-ent", inference=EntropySettings(calibrated=True))
    for task in range(3):
        learn(method, blobs(task), 5)
    before = [spreads.clone() for spreads in method.evidence.spreads]
    go_on(method)
    same = [torch.equal(*pair) for pair in zip(before, method.evidence.spreads, strict=True)]
    assert same == [True, False, True]


@pytest.mark.parametrize("name", ["hnet-tir", "joint", "lwf", "hnet-r", "dgr", "dgr-distill"])
def test_a_method_that_cannot_says_so(name: str) -> None:
    method = build(name)
    learn(method, blobs(0), 1)
    with pytest.raises(ConfigError, match=r"cannot go on .*; use hnet"):
        method.continue_task(0, 1)


@pytest.mark.parametrize("name", ["finetune", "separate", "ewc", "ewc-online", "si"])
def test_plain_networks_go_on_with_a_task(name: str) -> None:
    method = three_tasks(name)
    x, y = blobs(7).x, blobs(7).y
    for _ in range(4):
        go_on(method)
    assert (method.predict(x, 1).logits.argmax(1) == y).float().mean() > 0.8
    assert method.scenario.heads == (2, 2, 2)


def test_what_was_learned_in_going_on_is_held_too() -> None:
    """Its own term of the Fisher information, among the task's own outputs."""
    method = three_tasks("ewc")
    before = {name: a.clone() for name, a in method.penalty.importance.items()}
    go_on(method)
    gained = method.penalty.importance["4.weight"] - before["4.weight"]
    assert (gained[2:4] > 0).any()
    assert (gained[:2] == 0).all()
    assert (gained[4:] == 0).all()


@pytest.mark.parametrize("name", METHODS)
def test_an_exported_network_is_the_task_s(name: str) -> None:
    method = three_tasks(name)
    x = blobs(1).x
    for task in range(3):
        expected = method.predict(x, task).logits
        assert torch.allclose(method.export(task)(x), expected, atol=1e-6)
