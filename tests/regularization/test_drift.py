"""β that follows a bound on the drift of earlier tasks."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.regularization.drift import LEAST, Multiplier
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.regularization.step import HypernetTrainer
from hypermnesia.seeding import Generators


def test_the_multiplier_rises_above_the_bound_and_falls_below_it() -> None:
    multiplier = Multiplier(0.5)
    before = multiplier.beta
    multiplier.follow(2.0)
    assert multiplier.beta == pytest.approx(before * 4**0.05)
    multiplier.follow(1e9)
    assert multiplier.beta == pytest.approx(before * 4**0.05 * 2.718281828**0.1)
    assert not multiplier.holds
    for _ in range(500):
        multiplier.follow(0.0)
    assert multiplier.beta == LEAST
    assert multiplier.holds


def loss_of(memory: WeightMemory, task: int, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return F.mse_loss(memory.run(task, x, training=True), y)


def trained(drift: float, steps: int = 1200) -> tuple[HypernetTrainer, torch.Tensor, list[float]]:
    """Two unlike tasks in turn; the first one's weights before the second, and every R."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    memory = WeightMemory(network, HypernetSettings(hidden=(8,), chunk=16, chunk_embedding=4))
    regularizer = RegularizerSettings(beta="auto", drift=drift)
    trainer = HypernetTrainer(memory, regularizer=regularizer, generators=Generators(0))
    x, found, first = torch.randn(64, 4), [], torch.empty(0)
    for task, y in enumerate((x[:, :1], -3 * x[:, :1] + 1)):
        memory.add_task(1, trainer.generators)
        trainer.begin_task(steps)
        for _ in range(steps):
            metrics = trainer.step(
                lambda y=y, t=task: F.mse_loss(memory.run(t, x, training=True), y)
            )
            found += [float(metrics["penalty"])] if "penalty" in metrics else []
        if task == 0:
            first = memory.weights(0).detach()
    return trainer, first, found


@pytest.mark.parametrize("drift", [1e-2, 1e-3])
def test_the_drift_is_held_at_the_bound(drift: float) -> None:
    trainer, first, found = trained(drift)
    bound = drift * float(first.square().sum())
    moved = float((trainer.memory.weights(0).detach() - first).square().sum())
    assert moved <= 1.5 * bound
    assert max(found) > 0.5 * bound  # it is used, not avoided


def test_a_state_holds_the_multiplier() -> None:
    trainer, _, _ = trained(1e-3, steps=60)
    state = copy.deepcopy(trainer.state_dict())
    before = trainer.protection.multiplier.beta
    assert before != 0.1
    trainer.load_state_dict(state)
    assert trainer.protection.multiplier.beta == before


def test_a_number_is_no_bound() -> None:
    with pytest.raises(ConfigError, match="drift"):
        RegularizerSettings(beta=0.1, drift=0.5)
