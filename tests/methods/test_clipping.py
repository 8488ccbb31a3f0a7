"""What is clipped is the task's gradient, before the lookahead; protection is not held back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hypermnesia.methods import Method, TaskSpec
from hypermnesia.optimizers import OptimizerSettings, gradient_norm
from hypermnesia.regularization.output import RegularizerSettings
from problems import SMALL_VAE, batches, blobs, build, learn

CLIP, SCALE = 0.01, 2.0**20  # scaling by a power of two and back is exact


def in_second_task(name: str, updates: int = 5, scale: float = 1.0, **settings: object) -> Method:
    """A method whose loss is `scale` times as steep, some updates into its second task."""
    method = build(name, **settings)
    method.criterion = lambda scores, targets: scale * F.cross_entropy(scores, targets)
    learn(method, blobs(0), 5)
    method.begin_task(TaskSpec(2, updates))
    for batch in batches(blobs(1), updates):
        method.update(batch)
    return method


def theta(method: Method) -> list[Tensor]:
    return [p.detach() for p in method.memory.hypernet.parameters()]


@pytest.mark.parametrize("lookahead", ["optimizer", "sgd"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_clipped_step_is_that_of_a_loss_less_steep(optimizer: str, lookahead: str) -> None:
    # Every gradient is far above the bound, so that the scale of the loss does not matter, and
    # the lookahead and the regulariser must have seen the same clipped gradient.
    settings = OptimizerSettings(optimizer, lr=0.05, clip=CLIP)
    options = {
        "optimizer": settings,
        "embedding_optimizer": settings,
        "regularizer": RegularizerSettings(beta=1.0, lookahead=lookahead),
    }
    one = in_second_task("hnet", scale=SCALE, **options)
    steep = in_second_task("hnet", scale=1024 * SCALE, **options)
    for ours, theirs in zip(theta(one), theta(steep), strict=True):
        assert torch.equal(ours, theirs)


def test_what_protects_earlier_tasks_is_not_clipped() -> None:
    settings = OptimizerSettings(lr=0.05, clip=CLIP)
    method = in_second_task("hnet", optimizer=settings, regularizer=RegularizerSettings(beta=1e3))
    (batch,) = batches(blobs(1), 1)
    assert float(method.update(batch)["gradient"]) > 10 * CLIP
    plain = in_second_task("ewc", optimizer=settings)
    plain.penalty.importance = {n: 1e6 + a for n, a in plain.penalty.importance.items()}
    assert float(plain.update(batch)["gradient"]) > 10 * CLIP


@pytest.mark.parametrize("name", ["finetune", "separate", "hnet"])
def test_without_anything_to_protect_the_reported_norm_is_the_bound(name: str) -> None:
    settings = OptimizerSettings(lr=0.05, clip=CLIP)
    method = build(name, optimizer=settings, embedding_optimizer=settings)
    method.begin_task(TaskSpec(2, 2))
    (batch,) = batches(blobs(0), 1)
    groups = 2 if name == "hnet" else 1  # the embedding's gradient is held by itself
    assert float(method.update(batch)["gradient"]) == pytest.approx(CLIP * groups**0.5, rel=1e-3)


def test_the_reported_norm_is_that_of_all_gradients() -> None:
    method = build("hnet", optimizer=OptimizerSettings("sgd", lr=1.0))
    method.begin_task(TaskSpec(2, 2))
    (batch,) = batches(blobs(0), 1)
    reported = method.update(batch)["gradient"]
    leaves = [*method.memory.hypernet.parameters(), method.memory.embeddings[-1]]
    assert torch.equal(reported, gradient_norm(p.grad for p in leaves))


@pytest.mark.parametrize("name", ["dgr", "hnet-r", "hnet-tir", "hnet-lik"])
def test_autoencoders_have_a_bound_of_their_own(name: str) -> None:
    tight = OptimizerSettings(lr=0.01, clip=1e-6)
    method = build(name, vae=replace(SMALL_VAE, optimizer=tight, embedding_optimizer=tight))
    method.begin_task(TaskSpec(2, 2))
    (batch,) = batches(blobs(0), 1)
    reported = method.update(batch)
    assert float(reported["vae_gradient"]) < 3e-6 < float(reported["gradient"])
