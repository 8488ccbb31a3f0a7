"""Replay: the loss on generated samples, by hand, and what it is for."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hypermnesia.evidence.autoencoders import Replayed, ReplaySettings
from hypermnesia.methods import Method, TaskSpec
from hypermnesia.methods.lwf import DistillationSettings
from hypermnesia.methods.replay import ReplayClassifier, dgr_distill
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.seeding import Generators
from problems import CPU, SMALL_VAE, blobs, build, learn


def test_shares_by_hand() -> None:
    current, past = torch.tensor(1.0), torch.tensor(5.0)
    assert ReplaySettings("half").mix(current, past, 4) == 3.0
    assert ReplaySettings("tasks").mix(current, past, 4) == 0.25 * 1 + 0.75 * 5


def classifier(scenario: str, **changes: object) -> ReplayClassifier:
    """Two tasks of two classes; the answers are the inputs, the former ones twice the inputs."""
    network = nn.Linear(4, 2, bias=False)
    made = dgr_distill(
        network,
        scenario,
        vae=SMALL_VAE,
        sample_shape=(4,),
        replay=ReplaySettings(),
        optimizer=OptimizerSettings(),
        generators=Generators(0),
        device=CPU,
        **changes,
    )
    for _ in range(2):
        made.begin_task(TaskSpec(2, 1))
    columns = made.scenario.columns
    made.former.load_state_dict({"weight": 2 * torch.eye(4)[:columns]})
    return made


SCORES = torch.tensor([[0.0, 1.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
X = torch.tensor([[0.0, 1.0, 9.0, 9.0], [math.log(3) / 2, 0.0, 9.0, 9.0]])
"""Twice it, and of the old columns only: [0, 2] and [log 3, 0]."""


def loss(method: ReplayClassifier, tasks: torch.Tensor | None = None) -> float:
    columns = method.scenario.columns
    return method._past_loss(SCORES[:, :columns], Replayed(X, tasks)).item()


def test_hard_answers_are_among_the_old_classes_and_against_all() -> None:
    # The truths are classes 1 and 0, of four: log(1 + e + e² + 1) - 1 and log 4.
    wanted = (math.log(2 + math.e + math.e**2) - 1 + math.log(4)) / 2
    assert loss(classifier("class")) == pytest.approx(wanted)
    # Of two, in the task scenario of the only earlier head and in the domain scenario.
    wanted = (math.log(1 + math.e) - 1 + math.log(2)) / 2
    assert loss(classifier("task")) == pytest.approx(wanted)
    assert loss(classifier("domain")) == pytest.approx(wanted)


@pytest.mark.parametrize("unseen", [-math.inf, 0.0])
def test_soft_answers_give_new_classes_what_their_score_was(unseen) -> None:
    """T² times the cross-entropy of softmax(s / T) against that of the former scores / T."""
    method = classifier("class", distillation=DistillationSettings(2.0, 3.0))
    method.unseen = unseen
    former = torch.tensor([[0.0, 2.0, unseen, unseen], [math.log(3), 0.0, unseen, unseen]])
    p, q = (former / 2).softmax(1), (SCORES / 2).log_softmax(1)
    wanted = 3 * 4 * -(p * q).sum(1).mean()
    assert loss(method) == pytest.approx(wanted.item(), rel=1e-6)


def test_without_a_known_task_every_earlier_head_answers() -> None:
    method = classifier("task")
    method.begin_task(TaskSpec(2, 1))  # a third head
    method.former.load_state_dict({"weight": torch.eye(6)[:, :4] * 2})
    scores = F.pad(SCORES, (0, 2))
    former = 2 * X
    heads = [slice(0, 2), slice(2, 4)]
    wanted = [F.cross_entropy(scores[:, h], former[:, h].argmax(1)) for h in heads]
    got = method._past_loss(scores, Replayed(X, None))
    torch.testing.assert_close(got, torch.stack(wanted).mean())
    known = method._past_loss(scores, Replayed(X, torch.tensor([1, 0])))
    own = [
        F.cross_entropy(scores[row, head], former[row, head].argmax())
        for row, head in enumerate(reversed(heads))
    ]
    torch.testing.assert_close(known, torch.stack(own).mean())


def accuracy(method: Method, tasks: int, scenario: str) -> float:
    right = []
    for task in range(tasks):
        batch = blobs(task).batch(torch.arange(64))
        scores = method.predict(batch.x, scenario=scenario).logits
        labels = method.scenario.named(scenario).labels(batch.y, batch.task)
        right.append((scores.argmax(1) == labels).double().mean().item())
    return sum(right) / tasks


def trained(name: str, scenario: str, iterations: int = 100) -> Method:
    method = build(name, scenario)
    for task in range(3):
        learn(method, blobs(task), iterations)
    return method


def test_replay_keeps_what_finetuning_forgets() -> None:
    assert accuracy(trained("finetune", "class"), 3, "class") < 0.5
    for name in ("hnet-r", "dgr", "dgr-distill"):
        assert accuracy(trained(name, "class"), 3, "class") > 0.7, name


def test_the_recogniser_tells_tasks_and_leaves_the_classifiers_alone() -> None:
    method = trained("hnet-tir", "task")
    for task in range(3):
        batch = blobs(task).batch(torch.arange(64))
        answered = method.predict(batch.x, scenario="class")
        assert (answered.tasks == task).double().mean() > 0.9
    assert accuracy(method, 3, "class") > 0.9
    assert accuracy(method, 3, "domain") > 0.9
    batch = blobs(0).batch(torch.arange(8))
    own = method.predict(batch.x, 0).logits
    assert torch.equal(method.predict(batch.x, 0, "class").tasks, torch.zeros(8, dtype=torch.int64))
    assert own.shape == (8, 2)


def test_the_classifiers_of_hnet_tir_are_those_of_hnet() -> None:
    """Nothing that infers the task draws from the streams that the classifiers draw from."""
    weights = []
    for name in ("hnet", "hnet-tir"):
        method = build(name)
        for task in range(2):
            learn(method, blobs(task), 3)
        weights.append([method.memory.weights(t) for t in range(2)])
    for a, b in zip(*weights, strict=True):
        assert torch.equal(a, b)


def test_nothing_is_replayed_in_the_first_task() -> None:
    for name in ("hnet-r", "dgr", "hnet-tir"):
        method = build(name)
        first = learn(method, blobs(0), 2)[-1]
        assert not {"replay_loss", "task_loss"} & first.keys()
        second = learn(method, blobs(1), 2)[-1]
        assert {"replay_loss", "task_loss"} & second.keys()
