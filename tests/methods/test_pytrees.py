"""Plain methods whose network takes several inputs, and gives its logits among other things."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from hypermnesia.data.types import Batch
from hypermnesia.methods import TaskSpec
from hypermnesia.methods.penalties import PenaltySettings
from hypermnesia.methods.plain import Finetune
from problems import batches, blobs, build

METHODS = ("finetune", "joint", "separate", "ewc", "ewc-online", "si", "lwf")


@dataclass
class Output:
    logits: Tensor


class TwoInputs(nn.Module):
    """The sum of two inputs, as a network by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(6, 8), nn.Linear(8, 2)

    def forward(self, left: Tensor, right: Tensor) -> Output:
        return Output(self.out(self.hidden(left + right).tanh()))


class OneInput(TwoInputs):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x, torch.zeros_like(x)).logits


def halves(batch: Batch) -> Batch:
    return replace(batch, x={"left": batch.x / 2, "right": batch.x / 2})


def trained(name: str, kind: type[nn.Module], samples: int | None) -> tuple[Finetune, Batch]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = kind()
    method = build(name, network=network, penalty=PenaltySettings(1.0, samples=samples))
    form = halves if kind is TwoInputs else (lambda batch: batch)
    for task in range(2):
        seen = [form(batch) for batch in batches(blobs(task), 5)]
        method.begin_task(TaskSpec(2, 5))
        for batch in seen:
            method.update(batch)
        method.end_task(seen)
    return method, seen[0]


@pytest.mark.parametrize("samples", [None, 20])
@pytest.mark.parametrize("name", METHODS)
def test_two_inputs_are_learned_as_their_sum(name: str, samples: int | None) -> None:
    (one, plain), (two, batch) = (trained(name, kind, samples) for kind in (OneInput, TwoInputs))
    found, wanted = two.predict(batch.x, 1).logits, one.predict(plain.x, 1).logits
    assert torch.allclose(found, wanted, atol=1e-5)
    assert torch.allclose(two.losses(batch)["loss"], one.losses(plain)["loss"], atol=1e-5)
