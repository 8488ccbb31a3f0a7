"""Learning without forgetting: its loss in each scenario, and what it is for."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hypermnesia.methods import METHODS, Method, TaskSpec
from hypermnesia.methods.lwf import DistillationSettings, distill
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.seeding import Generators
from problems import CPU, batches, blobs, learn

OUTPUTS = (2, 3, 2)


def plain(name: str, scenario: str, strength: float = 2.0, lr: float = 0.01) -> Method:
    """A method over a network without dropout and batch-norm."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2))
    lwf = {"distillation": DistillationSettings(3.0, strength)} if name == "lwf" else {}
    return METHODS[name].build(
        network,
        scenario,
        **lwf,
        optimizer=OptimizerSettings("sgd", lr=lr),
        generators=Generators(0),
        device=CPU,
    )


def expected_distillation(scenario: str, scores: torch.Tensor, targets: torch.Tensor):
    """D for the third task of `OUTPUTS`, written out."""
    if scenario == "task":
        first = distill(scores[:, :2], targets[:, :2], 3.0)
        return (first + distill(scores[:, 2:5], targets[:, 2:5], 3.0)) / 2
    if scenario == "domain":
        return distill(scores, targets, 3.0)
    probabilities = F.pad((targets / 3).softmax(1), (0, 2))
    return -9 * (probabilities * (scores / 3).log_softmax(1)).sum(1).mean()


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
def test_the_loss_is_that_of_its_equation(scenario: str) -> None:
    method = plain("lwf", scenario)
    for task, outputs in enumerate(OUTPUTS[:2]):
        learn(method, blobs(task, outputs), 30, outputs)
    former = copy.deepcopy(method.network)
    method.begin_task(TaskSpec(2, 4))
    for batch in batches(blobs(2), 4):
        with torch.no_grad():
            scores, targets = method.network(batch.x), former(batch.x)
            candidates = scores.masked_fill(~method.scenario.active(batch.task), -torch.inf)
            own = F.cross_entropy(candidates, method.scenario.labels(batch.y, batch.task))
            taught = expected_distillation(scenario, scores, targets)
        reported = method.update(batch)["loss"]
        torch.testing.assert_close(reported, own / 3 + 2 / 3 * 2.0 * taught)


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
def test_the_first_task_is_learned_as_by_finetuning(scenario: str) -> None:
    states = []
    for name in ("lwf", "finetune"):
        method = plain(name, scenario)
        learn(method, blobs(0), 10)
        states.append(method.network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_former_network_stays_as_it_was_and_goes_when_the_task_ends() -> None:
    method = plain("lwf", "class")
    learn(method, blobs(0), 5)
    before = {name: p.clone() for name, p in method.network.state_dict().items()}
    method.begin_task(TaskSpec(2, 5))
    for batch in batches(blobs(1), 5):
        method.update(batch)
    assert all(torch.equal(p, before[name]) for name, p in method.former.state_dict().items())
    method.end_task([])
    assert method.former is None
    assert method.compression() == 1.0


@pytest.mark.parametrize("scenario", ["task", "domain"])
def test_answers_to_new_inputs_stay_closer_than_by_finetuning(scenario: str) -> None:
    changes = []
    for name in ("finetune", "lwf"):
        method = plain(name, scenario, strength=5.0, lr=0.05)
        learn(method, blobs(0), 60)
        x = blobs(1).x
        before = method.predict(x, 0).logits.softmax(1)
        learn(method, blobs(1), 60)
        changes.append((method.predict(x, 0).logits.softmax(1) - before).abs().mean())
    assert changes[1] < 0.5 * changes[0]
