"""Linear layers of any module in int8: as by their definition, and nothing else changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hypermnesia.hypernet import int8_layers
from hypermnesia.hypernet.groups import TaskGroup, TaskGroups
from hypermnesia.hypernet.int8 import linear_by_definition, rounded_inputs, rounded_weights
from hypermnesia.hypernet.int8_layers import each_in_int8
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.seeding import Generators

pytestmark = pytest.mark.usefixtures("int8_products")
WIDE = int8_layers._OUTPUTS


def group_of(
    module: Callable[[], nn.Module], generated: str = "*", tasks: int = 3
) -> tuple[WeightMemory, TaskGroup]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = module()
    memory = WeightMemory(
        net,
        HypernetSettings((3,), 5, 6, chunk=500),
        generated=[generated],
        head=None,
        device=torch.device("cpu"),
    )
    for task in range(tasks):
        memory.add_task(5, Generators(task))
    (group,) = TaskGroups(memory, 1 << 28)
    return memory, group


class Normed(nn.Module):
    """Convolution and batch-norm, a wide layer used twice, a narrow one; a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.wide = nn.Linear(8 * 16, 8 * 16, bias=False)
        self.narrow = nn.Linear(8 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm(self.conv(x))).flatten(1)
        h = h + torch.tanh(self.wide(h))
        return self.narrow(h - self.wide(h))


class Sequence(nn.Module):
    """Layers over (batch, length, features), one by its weight alone and one by name."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(9, WIDE), nn.Linear(WIDE, WIDE)
        self.head = nn.Linear(WIDE, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = F.linear(x, self.first.weight).relu()
        h = F.linear(input=h, weight=self.second.weight, bias=self.second.bias)
        return self.head(h).mean(dim=1)


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(36, WIDE), nn.ReLU(), nn.Linear(WIDE, WIDE), nn.ReLU(),
        nn.Linear(WIDE, 5),
    )  # fmt: skip


DRAWS = torch.Generator().manual_seed(0)
IMAGES = torch.rand(7, 1, 8, 8, generator=DRAWS)
SEQUENCES = torch.randn(7, 4, 9, generator=DRAWS)
CASES = {
    "normed": (Normed, IMAGES),
    "sequence": (Sequence, SEQUENCES),
    "mlp": (mlp, torch.rand(7, 1, 6, 6, generator=DRAWS)),
}


class ByDefinition(TorchFunctionMode):
    """Every wide layer by the definition, its weights and inputs rounded anew each time."""

    def __torch_function__(
        self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        return (self.linear if func is F.linear else func)(*args, **(kwargs or {}))

    def linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if len(weight) < WIDE:
            return F.linear(input, weight, bias)
        rows = rounded_inputs(input.reshape(-1, input.shape[-1]))
        scores = linear_by_definition(rows, rounded_weights(weight), bias)
        return scores.view(*input.shape[:-1], -1)


def one_by_one(memory: WeightMemory, group: TaskGroup, x: Tensor) -> Tensor:
    return torch.stack([group.run(memory.target, place, x) for place in range(len(group.tasks))])


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_wide_layers_are_in_int8_and_the_rest_as_ever(case: str) -> None:
    module, x = CASES[case]
    memory, group = group_of(module)
    for task in range(3):
        memory.run(task, x * (task + 1), training=True)  # buffers that differ
    found, exact = each_in_int8(memory.target, group, x), one_by_one(memory, group, x)
    with ByDefinition():
        expected = one_by_one(memory, group, x)
    # A number half-way between two steps may be rounded to either, as processors add differently.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=5e-4 * float(exact.abs().max()))
    off = float((found - exact).abs().max() / exact.abs().max())
    assert 1e-4 < off < 0.03
    assert torch.equal(one_by_one(memory, group, x), exact)  # in float32 again


@torch.no_grad()
def test_a_module_without_wide_layers_answers_as_in_float32() -> None:
    def net() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 5))

    memory, group = group_of(net)
    exact = one_by_one(memory, group, IMAGES)
    assert torch.equal(each_in_int8(memory.target, group, IMAGES), exact)
    assert group.int8 == {}


@torch.no_grad()
def test_weights_that_are_not_generated_stay_in_float32() -> None:
    memory, group = group_of(mlp, generated="[35].*")
    each_in_int8(memory.target, group, torch.rand(2, 1, 6, 6))
    assert [key[1] for key in group.int8] == [torch.Size((WIDE, WIDE))] * 3


@torch.no_grad()
def test_rows_of_one_number_stay_in_float32() -> None:
    """torch's product of them is wrong."""
    memory, group = group_of(lambda: nn.Linear(1, WIDE))
    x = torch.randn(4, 1)
    assert torch.equal(each_in_int8(memory.target, group, x), one_by_one(memory, group, x))


def counted(monkeypatch: pytest.MonkeyPatch, name: str) -> list[torch.Size]:
    calls, original = [], getattr(int8_layers, name)

    def count(rows: Tensor) -> object:
        calls.append(rows.shape)
        return original(rows)

    monkeypatch.setattr(int8_layers, name, count)
    return calls


@torch.no_grad()
def test_inputs_are_rounded_once_for_all_tasks_and_weights_once(monkeypatch) -> None:
    memory, group = group_of(mlp)
    inputs, weights = (counted(monkeypatch, f"rounded_{each}") for each in ("inputs", "weights"))
    many = torch.rand(8, 1, 6, 6)
    for x in (many[:4], many[4:], many[:4]):
        inputs.clear()
        each_in_int8(memory.target, group, x)
        assert inputs == [(4, 36), *[(4, WIDE)] * 3]
    assert len(weights) == 2 * 3
    assert len(group.int8) == 2 * 3
