"""What the memory of all tasks keeps, and what it counts."""

from __future__ import annotations

import torch
from torch import nn

from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.seeding import Generators


def memory_of(*outputs: int, **settings: object) -> WeightMemory:
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    sizes = HypernetSettings((3,), 5, 6, chunk=10, **settings)
    memory = WeightMemory(
        net, sizes, generated=["0.*", "3.*"], head=None, device=torch.device("cpu")
    )
    for n in outputs:
        memory.add_task(n, Generators(0))
    return memory


def test_compression_counts_everything_learned() -> None:
    """Generated: 4·8 + 8 + 8·3 + 3 = 67 in 7 chunks of 10; batch-norm's 16 are shared.

    θ: (5 + 6)·3 + 3 hidden, 3·10 + 10 head, 7·6 chunk embeddings; two task embeddings of 5.
    """
    theta = 11 * 3 + 3 + 3 * 10 + 10 + 7 * 6
    assert memory_of(2, 3).compression() == (theta + 2 * 5 + 16) / (67 + 16)


def test_a_loaded_memory_makes_the_same_weights() -> None:
    saved, loaded = memory_of(2, 3, 2), memory_of()
    loaded.load_state_dict(saved.state_dict())
    x = torch.randn(6, 4)
    for task in range(3):
        assert torch.equal(saved.weights(task), loaded.weights(task))
        assert torch.equal(saved.run(task, x, training=False), loaded.run(task, x, training=False))


def test_an_embedding_starts_at_random_or_at_the_mean_of_the_earlier_ones() -> None:
    drawn = memory_of(2, 2)
    assert torch.equal(
        drawn.condition.embeddings[0], drawn.condition.embeddings[1]
    )  # of equal generators
    memory = memory_of(2, embedding_start="mean")
    assert torch.equal(memory.condition.embeddings[0], drawn.condition.embeddings[0])
    memory.add_task(2, Generators(1))
    with torch.no_grad():
        memory.condition.embeddings[1] += 1.0
    memory.add_task(2, Generators(2))
    assert torch.allclose(memory.condition.embeddings[2], memory.condition.embeddings[0] + 0.5)
    assert memory.condition.embeddings[2].requires_grad


def test_the_memory_of_a_task_is_its_embedding_and_buffers() -> None:
    """Nothing of the size of the target network is kept for a task."""
    memory = memory_of(2)
    before = sum(t.numel() for t in tensors_in(memory.state_dict()))
    memory.add_task(2, Generators(1))
    grown = sum(t.numel() for t in tensors_in(memory.state_dict())) - before
    assert grown == 5 + (8 + 8 + 1)
    assert not list(tensors_in(vars(memory.layouts[-1])))


def tensors_in(tree: object):
    if isinstance(tree, torch.Tensor):
        yield tree
    elif isinstance(tree, dict):
        for value in tree.values():
            yield from tensors_in(value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from tensors_in(value)
