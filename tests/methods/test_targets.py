"""Unmodified modules of several kinds learn two tasks as targets, and keep the first."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hypermnesia.data.types import Part
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.methods import METHODS
from hypermnesia.nets import NETS, NetSettings
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators
from problems import CPU, learn


def stripes(task: int, n: int = 64) -> Part:
    """(n, 1, 8, 8) images of horizontal (0) or vertical (1) stripes, another width each task."""
    generator = torch.Generator().manual_seed(task)
    y = torch.arange(n) % 2
    wave = torch.sign(torch.sin(torch.arange(8.0) * (1.2 + 0.9 * task)))
    x = torch.where(y[:, None, None] == 0, wave[:, None].expand(8, 8), wave.expand(8, 8))
    x = x + 0.5 * torch.randn(n, 8, 8, generator=generator)
    return Part(x[:, None], y, task)


class Recurrent(nn.Module):
    """One cell applied to each row, and a weight shared between two places."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.write = nn.Linear(8, 16), nn.Linear(8, 16)
        self.write.weight = self.read.weight
        self.cell, self.out = nn.Linear(16, 16), nn.Linear(32, 2)

    def forward(self, x):
        images = x[:, 0]
        states = []
        for layer, steps in ((self.read, images.unbind(1)), (self.write, images.unbind(2))):
            state = torch.zeros(len(x), 16, device=x.device)
            for step in steps:
                state = torch.tanh(self.cell(state) + layer(step))
            states.append(state)
        return self.out(torch.cat(states, dim=1))


def lenet() -> nn.Module:
    return NETS["lenet"]((1, 8, 8), 2, NetSettings(hidden=(20,)))


def batch_norm_and_dropout() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(288, 2),
    )


@pytest.mark.parametrize("make", [lenet, batch_norm_and_dropout, Recurrent])
@pytest.mark.parametrize("init", ["xavier", "hyperfan"])
def test_modules_learn_as_targets_unmodified(make, init) -> None:
    adam = OptimizerSettings(lr=3e-3)
    method = METHODS["hnet"].build(
        make(),
        "task",
        hypernet=HypernetSettings((16,), 8, 8, chunk=400, init=init),
        regularizer=RegularizerSettings(beta=0.1),
        optimizer=adam,
        embedding_optimizer=adam,
        generators=Generators(0),
        device=CPU,
    )
    for task in range(2):
        learn(method, stripes(task), 150)
    for task in range(2):
        batch = stripes(task).batch(torch.arange(64))
        right = method.predict(batch.x, task).logits.argmax(1) == batch.y
        assert right.double().mean() >= 0.95, f"task {task}"
