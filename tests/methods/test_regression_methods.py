"""Targets that are values: who can learn them does, and others say so in a line."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError
from hypermnesia.evidence.likelihood import LikelihoodSettings
from hypermnesia.methods import METHODS, TaskSpec
from hypermnesia.testing import check_method
from problems import blobs, build

CAN = [
    "hnet",
    "hnet-data",
    "hnet-lik",
    "hnet-tir",
    "finetune",
    "separate",
    "joint",
    "si",
    "ewc",
    "ewc-online",
]
CANNOT = [name for name in METHODS if name not in CAN]


def values(task: int) -> Batch:
    """Two values of each sample, linear in its inputs; another two for each task."""
    generator = torch.Generator().manual_seed(task)
    x = torch.randn(64, 6, generator=generator)
    return Batch(x, x @ torch.randn(6, 2, generator=generator), torch.full((64,), task))


@pytest.mark.parametrize("name", CAN)
def test_it_keeps_the_contract(name: str) -> None:
    check_method(lambda g: build(name, generators=g, criterion=F.mse_loss), regression=True)


@pytest.mark.parametrize("name", ["hnet", "separate", "finetune"])
def test_values_are_learned_and_held_out_losses_are_theirs(name: str) -> None:
    method = build(name, criterion=F.mse_loss)
    for task in range(2):
        method.begin_task(TaskSpec(2, 300))
        for _ in range(300):
            metrics = method.update(values(task))
        assert "accuracy" not in metrics
        held = method.losses(values(task))["loss"]
        found = method.predict(values(task).x, task).logits
        assert torch.allclose(held, F.mse_loss(found, values(task).y), rtol=1e-4)
        assert held < 0.3 * values(task).y.var()
        method.end_task([values(task)])


def test_samples_of_several_tasks_have_their_own_outputs() -> None:
    """The mean over all samples of each one's loss at its own task's outputs."""
    method = build("joint", criterion=F.mse_loss)
    for _ in range(2):
        method.begin_task(TaskSpec(2, 1))
    both = [values(0), values(1)]
    mixed = Batch(*(torch.cat([getattr(b, n) for b in both]) for n in ("x", "y", "task")))
    alone = torch.stack([method.losses(batch)["loss"] for batch in both])
    assert torch.allclose(method.losses(mixed)["loss"], alone.mean(), rtol=1e-5)


@pytest.mark.parametrize("name", CANNOT)
def test_others_refuse_values_in_a_line(name: str) -> None:
    method = build(name)
    method.begin_task(TaskSpec(2, 1))
    with pytest.raises(ConfigError, match=r"; use hnet|; use finetune"):
        method.update(values(0))


def test_values_are_no_classes_to_tell_apart() -> None:
    method = build("finetune", "class", criterion=F.mse_loss)
    method.begin_task(TaskSpec(2, 1))
    with pytest.raises(ConfigError, match="class scenario learns classes"):
        method.update(values(0))


def test_autoencoders_of_classes_need_classes() -> None:
    method = build("hnet-lik", likelihood=LikelihoodSettings("class"), criterion=F.mse_loss)
    method.begin_task(TaskSpec(2, 1))
    with pytest.raises(ConfigError, match=r"likelihood\.of=task"):
        method.update(values(0))


def test_held_out_losses_of_classes_are_among_the_candidates() -> None:
    method = build("finetune", "task")
    for _ in range(2):
        method.begin_task(TaskSpec(2, 1))
    batch = blobs(1).batch(torch.arange(20))
    own = method.predict(batch.x, 1).logits
    assert torch.allclose(method.losses(batch)["loss"], F.cross_entropy(own, batch.y), rtol=1e-5)
