"""All tasks at once is each task on its own, whatever the budget; kept weights are never stale."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hypermnesia.hypernet import ensemble as all_tasks
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.seeding import Generators


def memory_of(*outputs: int, width: int = 8) -> WeightMemory:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Linear(4, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 2)
    net = nn.Sequential(*layers)
    memory = WeightMemory(
        net,
        HypernetSettings((3,), 5, 6, chunk=10),
        generated=["0.*", "3.*"],
        head=None,
        device=torch.device("cpu"),
    )
    for task, n in enumerate(outputs):
        memory.add_task(n, Generators(task))
    for task in range(len(outputs)):  # buffers that differ
        memory.run(task, inputs(20) + task, training=True)
    return memory


def inputs(n: int) -> Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(n))


def one_by_one(memory: WeightMemory, x: Tensor) -> Tensor:
    widest = max(layout.outputs for layout in memory.layouts)
    scores = torch.full((memory.tasks, len(x), widest), -torch.inf)
    for task, layout in enumerate(memory.layouts):
        scores[task, :, : layout.outputs] = memory.run(task, x, training=False)
    return scores


@pytest.mark.parametrize("budget", [1, 1500, 1 << 20])
@pytest.mark.parametrize("outputs", [(2, 2, 2), (3, 2, 3, 4, 2), (5,)])
def test_all_at_once_is_each_on_its_own(outputs: tuple[int, ...], budget: int) -> None:
    memory, x = memory_of(*outputs), inputs(9)
    found = AllTasks(memory, budget)(x)
    assert torch.allclose(found, one_by_one(memory, x), atol=1e-6)


@pytest.mark.parametrize("budget", [1, 1 << 20])
def test_first_answers_are_near_and_what_is_doubtful_is_settled(budget: int) -> None:
    memory, x = memory_of(3, 2, 3, width=64), inputs(9)
    ask, exact = AllTasks(memory, budget), one_by_one(memory, x)
    rough = ask.screened(x)
    assert rough.dtype == torch.float32
    known = exact.isfinite()
    assert torch.equal(rough[~known], exact[~known])
    assert torch.allclose(rough[known], exact[known], atol=0.05)
    assert not torch.allclose(rough[known], exact[known], atol=1e-5)
    doubtful = torch.arange(27).view(3, 9) % 2 == 0
    doubtful[1] = False
    settled = rough.clone()
    ask.settle(x, settled, doubtful)
    assert torch.allclose(settled[doubtful], exact[doubtful], atol=1e-6)
    assert torch.equal(settled[~doubtful], rough[~doubtful])


def test_the_budget_bounds_tasks_and_samples_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """58 weights a task: 232 bytes. 8 entries in the largest layer: 4 x 4 x 8 bytes a sample."""
    memory, calls = memory_of(*[2] * 7), []
    original = memory.target.each

    def each(weights: Tensor, x: Tensor, **rest: object) -> Tensor:
        calls.append((len(weights), len(x)))
        return original(weights, x, **rest)

    monkeypatch.setattr(memory.target, "each", each)
    AllTasks(memory, 3 * 232)(inputs(5))
    measured, *others = calls
    assert measured == (3, 2)
    assert set(others) == {(3, 1), (1, 5)}
    assert sum(tasks * samples for tasks, samples in others) == 35
    calls.clear()
    AllTasks(memory, 7 * 4 * 4 * 8 * 3)(inputs(5))
    assert calls == [(7, 2), (7, 3), (7, 2)]


def count_made(monkeypatch: pytest.MonkeyPatch, memory: WeightMemory) -> list[int]:
    made: list[int] = []
    original = memory.hypernet.forward

    def forward(conditions: Tensor, plan: object = None) -> Tensor:
        made.append(len(conditions))
        return original(conditions, plan)

    monkeypatch.setattr(memory.hypernet, "forward", forward)
    return made


def test_weights_are_made_once_and_kept_within_the_budget(monkeypatch) -> None:
    memory, x = memory_of(2, 2, 2), inputs(4)
    kept, not_kept = AllTasks(memory), AllTasks(memory, 3 * 232 - 1)
    for asked in (kept, not_kept):
        asked(x)
    made = count_made(monkeypatch, memory)
    for _ in range(3):
        kept(x)
    assert made == []
    not_kept(x)
    assert made == [2, 1]
    kept.forget()
    made.clear()
    kept(x)
    assert made == [3]


def step(name: str) -> Callable[[WeightMemory], None]:
    def change(memory: WeightMemory) -> None:
        parameters = list(memory.hypernet.parameters())
        optimizer = OptimizerSettings(name, lr=0.1).build(parameters)
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()

    return change


def change_embedding(memory: WeightMemory) -> None:
    with torch.no_grad():
        memory.condition.embeddings[1] += 1.0


def load_another(memory: WeightMemory) -> None:
    other = memory_of(2, 2, 2)
    step("sgd")(other)
    memory.load_state_dict(other.state_dict())


def add_wider(memory: WeightMemory) -> None:
    memory.add_task(4, Generators(9))


def change_buffers(memory: WeightMemory) -> None:
    memory.run(0, inputs(30) * 9, training=True)


@pytest.mark.parametrize(
    "change",
    [
        *map(step, ("adam", "adamw", "sgd", "rmsprop")),
        *(change_embedding, load_another, add_wider, change_buffers),
    ],
)
def test_kept_weights_are_never_stale(change: Callable[[WeightMemory], None]) -> None:
    memory, x = memory_of(2, 2, 2), inputs(6)
    asked = AllTasks(memory)
    before = asked(x)
    change(memory)
    after = asked(x)
    assert not torch.allclose(after[:3, :, :2], before, atol=1e-3) or len(after) > len(before)
    assert torch.allclose(after, one_by_one(memory, x), atol=1e-5)


def test_modules_that_give_a_number_a_sample_are_asked_too() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x).sum(dim=1)

    settings = HypernetSettings((3,), 5, 6, chunk=10)
    memory = WeightMemory(Sum(), settings, generated=["*"], head=None, device=torch.device("cpu"))
    for task in range(2):
        memory.add_task(3, Generators(task))
    x = inputs(5)
    expected = torch.stack([memory.run(task, x, training=False) for task in range(2)])
    assert torch.allclose(AllTasks(memory, 400)(x), expected, atol=1e-6)


def test_asking_leaves_the_memory_as_it_was() -> None:
    memory = memory_of(2, 3)
    asked = AllTasks(memory)
    asked(inputs(3))
    hooks = [m._forward_hooks for m in memory.target.module.modules()]
    assert not any(hooks)
    assert all(p.grad is None for p in memory.hypernet.parameters())
    assert all_tasks.BUDGET >= 1 << 20
