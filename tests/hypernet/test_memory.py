"""Where a new task's embedding starts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.seeding import Generators


@pytest.mark.parametrize("start", ["normal", "mean", "last"])
def test_where_a_new_embedding_starts(start) -> None:
    settings = HypernetSettings((3,), 4, plan="full", new_embedding=start)
    device = torch.device("cpu")
    memory = WeightMemory(nn.Linear(2, 2), settings, generated=["*"], head=None, device=device)
    generators = Generators(0)
    memory.add_task(2, generators)
    memory.add_task(2, generators)
    with torch.no_grad():
        memory.embeddings[1].add_(1.0)
    before = [e.detach().clone() for e in memory.embeddings]
    memory.add_task(2, generators)
    third = memory.embeddings[2].detach()
    expected = {"mean": (before[0] + before[1]) / 2, "last": before[1]}
    if start == "normal":
        assert not any(torch.equal(third, e) for e in before)
    else:
        assert torch.equal(third, expected[start])
        with torch.no_grad():
            memory.embeddings[2].add_(1.0)
    assert all(torch.equal(e, b) for e, b in zip(memory.embeddings[:2], before, strict=True))
