"""The best linear hypernetwork for given weights: exact where it can be, else the least error."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.regularization.basis import fit_basis
from hypermnesia.regularization.refit import take_in
from hypermnesia.seeding import Generators


def memory_of(entries: int) -> WeightMemory:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2))
    sizes = HypernetSettings(hidden=(), task_embedding=entries, plan="full")
    return WeightMemory(module, sizes, start="pretrained")


def wanted_of(memory: WeightMemory, heads: list[int], rank: int) -> list[dict[str, Tensor]]:
    """Parameters by name, whose changes are of a rank."""
    generator, found = torch.Generator().manual_seed(1), []
    basis = torch.randn(rank, 100, generator=generator)
    for head in heads:
        layout = memory.target.layout(head)
        flat = torch.randn(rank, generator=generator) @ basis[:, : layout.total]
        found.append(layout.split(flat))
    return found


@pytest.mark.parametrize("heads", [[2] * 6, [2, 3, 2, 3, 5, 3]])
def test_weights_of_a_basis_are_taken_in_exactly(heads: list[int]) -> None:
    memory = memory_of(3)
    wanted = [*zip(heads, wanted_of(memory, heads, 3), strict=True)]
    errors = take_in(memory, wanted, 0, Generators(0))
    assert max(errors) < 1e-5
    for task, (_, named) in enumerate(wanted):
        made = memory.layouts[task].split(memory.weights(task))
        assert all(torch.allclose(made[n], p.to(made[n]), atol=1e-4) for n, p in named.items())
    memory.add_task(2, Generators(1))
    assert not memory.weights(memory.tasks - 1).any()  # as every new task starts


def test_of_fewer_numbers_the_error_is_the_least() -> None:
    memory = memory_of(2)
    wanted = wanted_of(memory, [2] * 8, 6)
    take_in(memory, [(2, named) for named in wanted], 0, Generators(0))
    rows = torch.stack([memory.layouts[0].join(named) for named in wanted])
    made = torch.stack([memory.weights(task) for task in range(8)]).detach()
    least = torch.linalg.svdvals(rows)[2:].square().sum()
    assert float((made - rows).square().sum()) == pytest.approx(float(least), rel=1e-4)


def test_a_basis_needs_a_linear_hypernetwork() -> None:
    memory = WeightMemory(
        nn.Linear(3, 2), HypernetSettings(plan="full", hidden=(4,)), start="pretrained"
    )
    memory.add_task(2, Generators(0))
    with pytest.raises(ConfigError, match="a linear hypernetwork"):
        fit_basis(memory, [torch.zeros(8)])
