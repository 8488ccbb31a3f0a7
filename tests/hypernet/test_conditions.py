"""Conditions: what they promise, and hypernetworks that take others than task embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.conditions import CONDITIONS, TaskEmbedding
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.seeding import Generators
from hypermnesia.testing import check_condition, check_method
from problems import CPU, blobs, build, learn

SIZES = HypernetSettings((8,), 4, 4, chunk=40)


@pytest.mark.parametrize("start", ["normal", "mean"])
def test_task_embeddings_keep_the_contract(start: str) -> None:
    settings = HypernetSettings(task_embedding=5, embedding_start=start)
    check_condition(lambda: TaskEmbedding(settings, CPU))


class Mapped(TaskEmbedding):
    """Embeddings that a matrix of all tasks makes wider."""

    def __init__(self, settings: HypernetSettings, device: torch.device) -> None:
        super().__init__(settings, device)
        self.size, self.inner = settings.task_embedding + 3, settings.task_embedding
        self.matrix = nn.Parameter(torch.eye(self.inner, self.size))

    def add_task(self, generators: Generators) -> None:
        self.size, size = self.inner, self.size
        super().add_task(generators)
        self.size = size

    @property
    def kept(self) -> int:
        return self.inner * self.tasks + self.matrix.numel()

    def parameters(self, task: int) -> list[nn.Parameter]:
        # The matrix is what all tasks share: only the first one trains it.
        return [self.embeddings[task], *([] if task else [self.matrix])]

    def __call__(self, tasks: Sequence[int], context: Any = None) -> Tensor:
        return super().__call__(tasks) @ self.matrix

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"matrix": self.matrix.detach()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.embeddings = [nn.Parameter(e.clone()) for e in state["embeddings"]]
        self.matrix = nn.Parameter(state["matrix"].clone())


@pytest.fixture
def mapped() -> Iterator[HypernetSettings]:
    CONDITIONS.add("mapped", Mapped)
    yield HypernetSettings((8,), 4, 4, chunk=40, condition="mapped")
    CONDITIONS._entries.pop("mapped")


def test_a_method_learns_from_conditions_of_another_size(mapped: HypernetSettings) -> None:
    check_condition(lambda: Mapped(mapped, CPU))
    check_method(lambda own: build("hnet", generators=own, hypernet=mapped))
    check_method(lambda own: build("hnet-ent", generators=own, hypernet=mapped))
    method = build("hnet", hypernet=mapped)
    memory = method.memory
    for task in range(2):
        before = memory.condition.matrix.detach().clone() if task else torch.eye(4, 7)
        learn(method, blobs(task), 150)
        assert torch.equal(memory.condition.matrix, before) == bool(task)
    assert memory.hypernet.hidden[0].in_features == 7 + 4
    for task in range(2):
        part = blobs(task)
        assert (method.predict(part.x, task).logits.argmax(1) == part.y).float().mean() > 0.95
    theta = sum(p.numel() for p in memory.hypernet.parameters())
    assert memory.kept == theta + 2 * 4 + 4 * 7


@pytest.mark.parametrize("init", ["xavier", "hyperfan"])
def test_a_grown_hypernetwork_keeps_the_size_of_its_conditions(mapped, init) -> None:
    settings = HypernetSettings((8,), 4, 4, chunk=20, init=init, condition="mapped")
    memory = build("hnet", hypernet=settings).memory
    for outputs in (2, 20, 2):
        memory.add_task(outputs, Generators(0))
    assert memory.hypernet.condition_size == 7
    assert memory.weights(1).shape == (memory.layouts[1].total,)


def test_kept_weights_follow_whatever_a_condition_is_made_of(mapped: HypernetSettings) -> None:
    method, x = build("hnet-ent", hypernet=mapped), blobs(0).x
    for task in range(2):
        learn(method, blobs(task), 2)
    asked = AllTasks(method.memory)
    before = asked(x)
    with torch.no_grad():
        method.memory.condition.matrix *= 2.0
    after = asked(x)
    assert not torch.allclose(before, after, atol=1e-3)
    assert torch.allclose(after[1], method.predict(x, 1, "task").logits, atol=1e-5)


def test_a_condition_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the condition must be .*did you mean 'embedding'"):
        build("hnet", hypernet=HypernetSettings(chunk=40, condition="embeding"))


def test_embeddings_of_another_size_or_number_are_not_loaded() -> None:
    memory = build("hnet").memory
    memory.add_task(2, Generators(0))
    state = memory.state_dict()
    for embeddings in ([], [torch.zeros(3)]):
        with pytest.raises(ValueError, match=r"conditions of 0 tasks for 1|not of 4 entries"):
            memory.load_state_dict(state | {"condition": {"embeddings": embeddings}})


def _forgets_the_seed(self: TaskEmbedding, generators: Generators) -> None:
    self.embeddings.append(nn.Parameter(torch.ones(self.size) * self.tasks))


def _draws_globally(self: TaskEmbedding, generators: Generators) -> None:
    TaskEmbedding.add_task(self, generators)
    torch.randn(1)


def _changes_the_first(self: TaskEmbedding, generators: Generators) -> None:
    TaskEmbedding.add_task(self, generators)
    self.embeddings[0] = nn.Parameter(self.embeddings[0] + self.embeddings[-1])


_CALLS = count()


def _noisy(self: TaskEmbedding, tasks: Sequence[int], context: Any = None) -> Tensor:
    rows = TaskEmbedding.__call__(self, tasks)
    return rows + torch.randn(rows.shape, generator=torch.Generator().manual_seed(next(_CALLS)))


def _in_order(self: TaskEmbedding, tasks: Sequence[int], context: Any = None) -> Tensor:
    return TaskEmbedding.__call__(self, sorted(tasks))


def _detached(self: TaskEmbedding, tasks: Sequence[int], context: Any = None) -> Tensor:
    rows = TaskEmbedding.__call__(self, tasks)
    return rows.detach() + 0 * rows


def _adds_to_what_is_there(self: TaskEmbedding, state: dict[str, Any]) -> None:
    self.embeddings += [nn.Parameter(e.clone()) for e in state["embeddings"]]


BROKEN: list[tuple[str, Callable[..., Any], str]] = [
    ("add_task", _forgets_the_seed, "the seed matters"),
    ("add_task", _draws_globally, "global generator"),
    ("add_task", _changes_the_first, "leaves earlier conditions alone"),
    ("__call__", _noisy, "same seed, same conditions"),
    ("__call__", _in_order, "of the requested tasks"),
    ("__call__", _detached, "gradients reach every parameter"),
    ("load_state_dict", _adds_to_what_is_there, "loading what was saved gives it back"),
    ("kept", property(lambda self: 0), "counts as kept"),
]


@pytest.mark.parametrize(("name", "wrong", "promise"), BROKEN)
def test_a_broken_promise_is_found(name: str, wrong: Callable[..., Any], promise: str) -> None:
    broken = type("Broken", (TaskEmbedding,), {name: wrong})
    with pytest.raises(AssertionError, match=promise):
        check_condition(lambda: broken(SIZES, CPU))
