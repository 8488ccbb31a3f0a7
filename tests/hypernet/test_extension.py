"""A task's head gains rows: what was made for the others, and for its old rows, stays."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from hypermnesia.errors import TargetError
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.seeding import Generators

PLANS = [
    {"plan": "full"},
    {"plan": "even", "chunk": 7},
    {"plan": "even", "chunk": 50},
    {"plan": "layer"},
]


@pytest.fixture(autouse=True)
def _in_float64() -> Iterator[None]:
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(usual)


def memory_of(plan: dict[str, object], heads: tuple[int, ...] = (2, 3)) -> WeightMemory:
    module = nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.Linear(9, 2))
    memory = WeightMemory(module, HypernetSettings(hidden=(8,), init="hyperfan", **plan))
    generators = Generators(0)
    for outputs in heads:
        memory.add_task(outputs, generators)
    return memory


def answers(memory: WeightMemory) -> list[torch.Tensor]:
    x, tasks = torch.linspace(-1, 1, 30).view(5, 6), range(memory.tasks)
    return [memory.run(task, x, training=False).detach() for task in tasks]


def equal(now: list[torch.Tensor], then: list[torch.Tensor]) -> None:
    for one, other in zip(now, then, strict=True):
        torch.testing.assert_close(one[:, : other.shape[1]], other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("rows", [(1,), (2, 3), (30,)])
def test_old_answers_stay(plan: dict[str, object], rows: tuple[int, ...]) -> None:
    memory = memory_of(plan)
    before, generators = answers(memory), Generators(1)
    old, condition = memory.plans[0], memory.condition([0])
    weights = memory.hypernet(condition, old)
    for each in rows:
        memory.extend_task(0, each, generators)
    assert torch.equal(memory.hypernet(condition, old), weights)
    equal(answers(memory), before)
    assert answers(memory)[0].shape == (5, 2 + sum(rows))
    assert answers(memory)[0][:, 2:].std() > 0.05

    layout, flat = memory.layouts[0], torch.randn(memory.layouts[0].total)
    assert torch.equal(layout.join(layout.split(flat)), flat)
    first = memory.target.layout(2)
    named, own = layout.split(flat), first.split(flat[: first.total])
    assert all(torch.equal(named[name][: len(value)], value) for name, value in own.items())
    memory.extend_task(0, 1, generators)
    assert memory.before_extension(0) == layout


@pytest.mark.parametrize("plan", PLANS)
def test_others_come_and_go_and_the_state_comes_back(plan: dict[str, object]) -> None:
    """With a chunk a layer, a task of more weights may have fewer chunks than one that grew."""
    memory, generators = memory_of(plan), Generators(1)
    memory.extend_task(0, 2, generators)
    before = answers(memory)
    memory.add_task(40, generators)
    memory.extend_task(1, 1, generators)
    equal(answers(memory)[:2], before)

    again = memory_of(plan, ())
    again.load_state_dict(copy.deepcopy(memory.state_dict()))
    equal(answers(again), answers(memory))
    again.remove_task(2)
    equal(answers(again)[:1], before[:1])
    again.remove_task(0)
    assert len(again.hypernet.head.weight) == again.plans[0].width


def test_a_state_of_impossible_widths_is_refused() -> None:
    state = memory_of(PLANS[0]).state_dict()
    for widths in ([2, -1], [0, 2], [2, 10**9]):
        with pytest.raises(ValueError, match=r"widths|can be made"):
            memory_of(PLANS[0], ()).load_state_dict({**state, "outputs": [widths, 3]})


def test_a_head_without_a_row_an_output_is_not_extended() -> None:
    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(6, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.out(x).view(len(x), 2, 2).sum(dim=2)

    memory = WeightMemory(Doubled(), HypernetSettings(plan="full"), outputs=2)
    memory.add_task(2, Generators(0))
    with pytest.raises(TargetError, match="to be extended"):
        memory.extend_task(0, 1, Generators(0))
