"""Inputs of several tasks in one call, each answered by the network of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.learner.learners import clouds, learner
from torch import Tensor, nn

from hypermnesia import ConfigError, ContinualLearner, DataError, Generators, WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.per_row import together


class Adapted(nn.Module):
    """A frozen base, and an adapter of each of its layers, for images or (batch, *, 6) rows."""

    def __init__(self, *, images: bool = False, first: bool = True) -> None:
        super().__init__()
        layer: Any = nn.Conv2d if images else nn.Linear
        more: Any = {"kernel_size": 3, "padding": 1} if images else {}
        self.base = layer(6, 32, **more).requires_grad_(requires_grad=False)
        self.wide = nn.Linear(32, 32).requires_grad_(requires_grad=False)
        self.down, self.up = layer(6, 2, **more), layer(2, 32, **more)
        self.head, self.first = nn.Linear(32, 3), first

    def forward(self, x: Tensor) -> Tensor:
        """(batch, outputs); of several positions the mean."""
        x = x if self.first else x.transpose(0, 1)
        found = (self.base(x) + self.up(self.down(x))).relu()
        found = found.flatten(2).mean(dim=2) if found.ndim == 4 else found
        found = self.head(self.wide(found).relu())
        return found.mean(dim=int(self.first)) if found.ndim == 3 else found


OWN = ("down.*", "up.*", "head.*")


def memory(module: nn.Module, generated: tuple[str, ...] = OWN) -> WeightMemory:
    torch.manual_seed(0)
    settings = HypernetSettings(plan="even", chunk=50, hidden=(8,))
    made = WeightMemory(module.double(), settings, generated=generated)
    for outputs in (3, 3, 2):
        made.add_task(outputs, Generators(0))
    return made


@pytest.fixture
def _float64() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize("shape", [(6,), (4, 6), (6, 5, 5)], ids=["rows", "tokens", "images"])
def test_one_pass_gives_each_row_what_its_own_network_gives(shape: tuple[int, ...]) -> None:
    made = memory(Adapted(images=len(shape) == 3))
    tasks, x = torch.tensor([2, 0, 1, 1, 2, 0, 0]), torch.randn(7, *shape)
    found = together(made, x, tasks)
    assert found is not None
    for row, task in enumerate(tasks.tolist()):
        alone = made.run(task, x[row : row + 1], training=False)[0]
        assert torch.allclose(found[row, : len(alone)], alone, rtol=0, atol=1e-12)
        assert (found[row, len(alone) :] == -torch.inf).all()


@pytest.mark.usefixtures("_float64")
def test_a_module_that_cannot_be_run_so_is_not() -> None:
    tasks = torch.tensor([0, 1, 0, 1])
    other_axis = memory(Adapted(first=False))
    assert together(other_axis, torch.randn(4, 4, 6), tasks) is None
    scaled = Adapted()
    scaled.head = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 3))
    assert together(memory(scaled), torch.randn(4, 6), tasks) is None
    assert together(memory(Adapted(), ("*",)), torch.randn(4, 6), tasks) is None  # nothing shared


@pytest.mark.parametrize("method", ["hnet", "finetune"])
def test_predictions_of_rows_are_those_of_their_tasks(method: str) -> None:
    made = learner(tasks=3, iterations=15, method=method)
    x = np.concatenate([clouds(task, classes=2)[0] for task in range(3)])
    names = np.array(["c", "a", "b"])[np.arange(len(x)) % 3]
    _check_rows(made, x, names)
    y = made.predict(x, [*names])
    assert made.score(x, y, task=names) == 1
    for wrong, error in ((names[:-1], DataError), (["a"] * (len(x) - 1) + ["d"], ConfigError)):
        with pytest.raises(error):
            made.predict(x, wrong)


def _check_rows(made: ContinualLearner, x: np.ndarray, names: np.ndarray) -> None:
    labels, shares = made.predict(x, names), made.predict_proba(x, names)
    for task in made.tasks:
        rows = names == task
        own = np.isin(made.classes(), made.classes(task))
        assert (labels[rows] == made.predict(x[rows], task)).all()
        wanted = made.predict_proba(x[rows], task)
        assert np.allclose(shares[rows][:, own], wanted, atol=1e-6)
        assert not shares[rows][:, ~own].any()


def test_adapters_of_rows_in_one_pass() -> None:
    torch.manual_seed(0)
    made = ContinualLearner(Adapted(), iterations=10, infer_task=None, validation=0)
    for task in range(3):
        made.fit(*clouds(task, classes=2 + task % 2), task=task)
    x = clouds(0)[0]
    _check_rows(made, x, np.arange(len(x)) % 3)
    assert made._learned.method.memory.target.in_rows


def test_one_frozen_base_serves_all_tasks_and_later_fits() -> None:
    torch.manual_seed(0)
    made = ContinualLearner(Adapted(), None, iterations=2, validation=0)
    for task in range(2):
        made.fit(*clouds(task), task=task)
    x, frozen = clouds(0)[0], made.freeze()
    before = [frozen.predict_proba(x, task) for task in (0, 1)]
    known: Any = frozen._learned
    first, second = known.served(0), known.served(1)
    assert first.base.weight is second.base.weight
    assert first.up.weight is not second.up.weight
    own = sum(p.numel() for p in first.parameters() if p.requires_grad)
    assert known._served.bytes == 2 * 4 * own
    made.fit(*clouds(2), task=2)
    assert made._learned.served(2).base.weight is first.base.weight
    made.export(0).base.weight.data.zero_()  # what is given away is a copy
    after = [frozen.predict_proba(x, task) for task in (0, 1)]
    assert all(map(np.array_equal, before, after))
