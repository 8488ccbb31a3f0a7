"""What the methods are for: hnet remembers, finetune forgets, the bounds bound."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from torch import nn

from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError, TargetError
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.methods import METHODS, Method, TaskSpec
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators
from problems import CPU, batches, blobs, build, learn


def accuracies(method: Method, tasks: int) -> list[float]:
    result = []
    for task in range(tasks):
        batch = blobs(task).batch(torch.arange(64))
        start = method.scenario.candidates(task).start
        right = method.scenario.labels(batch.y, batch.task) - start
        given = task if method.scenario.name == "task" else None
        answers = method.predict(batch.x, given).logits.argmax(1)
        result.append((answers == right).double().mean().item())
    return result


def after_tasks(name: str, tasks: int = 4, scenario: str = "task", **changes: object) -> Method:
    method = build(name, scenario, **changes)
    for task in range(tasks):
        learn(method, blobs(task), 60)
    return method


def test_hnet_remembers_what_an_unprotected_hypernetwork_forgets() -> None:
    protected = accuracies(after_tasks("hnet"), 4)
    unprotected = accuracies(after_tasks("hnet", regularizer=RegularizerSettings(beta=0.0)), 4)
    assert min(protected) >= 0.95
    assert sum(unprotected) < sum(protected) - 0.3


def test_finetune_forgets_and_separate_does_not() -> None:
    assert min(accuracies(after_tasks("separate"), 4)) >= 0.95
    assert sum(accuracies(after_tasks("finetune", scenario="domain"), 4)) < 3.7


def test_joint_learns_from_a_mixture_of_tasks() -> None:
    method = build("joint", "class")
    for _ in range(3):
        method.begin_task(TaskSpec(2, 150))
    drawn = [batches(blobs(task), 150, seed=task) for task in range(3)]
    for parts in zip(*drawn, strict=True):
        fields = zip(*((b.x, b.y, b.task) for b in parts), strict=True)
        method.update(Batch(*(torch.cat(f) for f in fields)))
    method.end_task([])
    assert min(accuracies(method, 3)) >= 0.9
    assert method.predict(blobs(0).x).logits.shape == (64, 6)


def test_tasks_have_heads_of_their_own_size() -> None:
    method = build("hnet")
    for task, outputs in enumerate((2, 5, 3)):
        learn(method, blobs(task, outputs), 80, outputs)
    for task, outputs in enumerate((2, 5, 3)):
        batch = blobs(task, outputs).batch(torch.arange(64))
        scores = method.predict(batch.x, task).logits
        assert scores.shape == (64, outputs)
        assert (scores.argmax(1) == batch.y).double().mean() >= 0.9


@pytest.mark.parametrize("lookahead", ["optimizer", "sgd", "none"])
def test_every_lookahead_protects(lookahead: str) -> None:
    settings = RegularizerSettings(beta=0.1, lookahead=lookahead)
    assert min(accuracies(after_tasks("hnet", regularizer=settings), 4)) >= 0.9


def test_shared_parameters_are_frozen_after_the_first_task_unless_told_otherwise() -> None:
    for train_shared in (False, True):
        method = build("hnet", generated=("4.*",), train_shared=train_shared)
        learn(method, blobs(0), 20)
        shared = method.memory.target.shared["0.weight"]
        first, started = shared.detach().clone(), build("hnet", generated=("4.*",))
        assert not torch.equal(first, started.memory.target.shared["0.weight"])
        learn(method, blobs(1), 20)
        assert torch.equal(first, shared) is not train_shared


def test_the_penalty_is_reported_from_the_second_task_on() -> None:
    method = build("hnet")
    assert "penalty" not in learn(method, blobs(0), 3)[-1]
    assert learn(method, blobs(1), 3)[-1]["penalty"] > 0


def test_an_iteration_steps_by_the_sum_of_both_gradients() -> None:
    """With gradient descent, an iteration is θ - lr (g + β ∇R(θ - lr g)), computed by hand."""
    plain = OptimizerSettings("sgd", lr=0.01)
    linear = nn.Linear(6, 2)
    full = HypernetSettings((), 4, plan="full")
    settings = {"optimizer": plain, "embedding_optimizer": plain, "hypernet": full}
    method = METHODS["hnet"].build(
        linear,
        "task",
        **settings,
        regularizer=RegularizerSettings(0.5),
        generators=build("hnet").generators,
        device=CPU,
    )
    learn(method, blobs(0), 3)
    method.begin_task(TaskSpec(2, 1))
    batch = batches(blobs(1), 1)[0]
    memory = method.memory
    theta = {n: p.detach().clone() for n, p in memory.hypernet.named_parameters()}
    old, new = memory.condition([0, 1]).detach()
    weight, bias = (theta[n].requires_grad_() for n in ("head.weight", "head.bias"))

    def flat(w, b, e):
        return w @ e + b

    generated = flat(weight, bias, new)
    scores = batch.x @ generated[:12].view(2, 6).T + generated[12:]
    g = torch.autograd.grad(nn.functional.cross_entropy(scores, batch.y), (weight, bias))
    ahead = [
        (p - 0.01 * d).detach().requires_grad_() for p, d in zip((weight, bias), g, strict=True)
    ]
    distance = (flat(*ahead, old) - flat(weight, bias, old).detach()).square().sum()
    pull = torch.autograd.grad(distance, ahead)
    method.update(batch)
    after = dict(memory.hypernet.named_parameters())
    for name, p, d, r in zip(("head.weight", "head.bias"), (weight, bias), g, pull, strict=True):
        torch.testing.assert_close(after[name], p - 0.01 * (d + 0.5 * r), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["hnet", "separate", "finetune"])
def test_predicting_without_the_task_is_refused_where_it_must_be_given(name: str) -> None:
    method = build(name)
    learn(method, blobs(0), 2)
    with pytest.raises(ConfigError, match="must be given the task"):
        method.predict(blobs(0).x)


class Gated(nn.Module):
    """Its last linear layer is not its output."""

    def __init__(self) -> None:
        super().__init__()
        self.out, self.gate = nn.Linear(6, 2), nn.Linear(6, 2)

    def forward(self, x):
        return self.out(x) * self.gate(x).mean(1, keepdim=True)


@pytest.mark.parametrize(("head", "fits"), [(None, False), ("out", True)])
def test_a_network_whose_output_layer_is_elsewhere_must_name_it(head, fits) -> None:
    settings = {
        "hypernet": HypernetSettings((4,), 4, 4, chunk=9),
        "regularizer": RegularizerSettings(),
        "optimizer": OptimizerSettings(),
        "embedding_optimizer": OptimizerSettings(),
        "generators": Generators(0),
        "device": CPU,
    }
    method = METHODS["hnet"].build(Gated(), "task", head=head, **settings)
    method.begin_task(TaskSpec(3, 1))
    batch = batches(blobs(0, 3), 1)[0]
    if fits:
        assert method.update(batch)["loss"] > 0
    else:
        with pytest.raises(TargetError, match=r"must give \(batch, 3\)"):
            method.update(batch)


def test_one_head_answers_for_domains_of_different_width() -> None:
    method = build("finetune", "domain")
    for task, outputs in enumerate((2, 3)):
        learn(method, blobs(task, outputs), 100, outputs)
    batch = blobs(1, 3).batch(torch.arange(64))
    scores = method.predict(batch.x).logits
    assert scores.shape == (64, 3)
    assert (scores.argmax(1) == batch.y).double().mean() >= 0.9


def test_finished_methods_keep_no_optimiser() -> None:
    for name in METHODS:
        method = build(name)
        learn(method, blobs(0), 5)
        assert "exp_avg" not in str(method.state_dict())


def test_the_end_of_a_task_frees_what_its_training_needed() -> None:
    method = build("hnet")
    learn(method, blobs(0), 2)
    method.begin_task(TaskSpec(2, 2))
    method.update(batches(blobs(1), 1)[0])
    trainer = method.trainer
    needed = [trainer.protection.snapshot, *(o for _, o in trainer.optimizers.values())]
    alive = [weakref.ref(each) for each in needed]
    del needed
    method.end_task([])
    gc.collect()
    assert [each() for each in alive] == [None] * len(alive)
    assert all(p.grad is None for p in method.memory.hypernet.parameters())
    plain = build("finetune")
    learn(plain, blobs(0), 2)
    assert all(p.grad is None for p in plain.network.parameters())
