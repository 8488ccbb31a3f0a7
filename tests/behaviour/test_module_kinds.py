"""Every kind of module is what it is under PyTorch, or is refused before training.

The reference is always a module made anew, as a user makes it, with the generated values written
into its parameters and the task's state into its buffers, called by plain PyTorch.
"""

from __future__ import annotations

import copy
import io
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from module_kinds import AS_PYTORCH, KINDS, REFUSED, ModuleKind
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from hypermnesia import ContinualLearner
from hypermnesia.errors import HypermnesiaError
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.methods import TaskSpec
from hypermnesia.tree import logits_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN"),
    pytest.mark.filterwarnings("ignore:Full backward hook is firing"),  # as under plain PyTorch
    pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad=True"),
    pytest.mark.filterwarnings("ignore:`torch.jit.(trace|script)` is deprecated"),
]
QUICK = {"iterations": 3, "batch_size": 8, "lr": 0.01, "validation": 0}
LABELS = torch.arange(8) % 2
TASKS = ("a", "b")
RIGHT = [row for row in KINDS if row.outcome == AS_PYTORCH]
WRONG = [row for row in KINDS if row.outcome == REFUSED]


def seeded(seed: int) -> None:
    """All that draws random numbers, as far as modules do."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002


def made(row: ModuleKind, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return row.make()


def inputs(row: ModuleKind, seed: int) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return row.sample()


def learner(row: ModuleKind, model: nn.Module, **settings: object) -> ContinualLearner:
    return ContinualLearner(model, "entropy", **{**QUICK, **row.settings, **settings})


def generated(memory: WeightMemory, task: int) -> dict[str, Tensor]:
    """A task's parameters by name, as functions of what the hypernetwork learns."""
    return memory.layouts[task].split(memory.weights(task))


@torch.no_grad()
def plain(row: ModuleKind, memory: WeightMemory, task: int) -> nn.Module:
    """The reference, in the mode in which a user would train it."""
    module, values = made(row), generated(memory, task)
    for name, parameter in module.named_parameters():
        parameter.copy_(values.pop(name, parameter))
    assert not values
    for name, value in memory.buffers[task].items():
        owner, _, own = name.rpartition(".")
        module.get_submodule(owner)._buffers[own] = value.clone()
    return module if module.training else module.train()


@dataclass(frozen=True)
class Learned:
    """A learner of two tasks, and what it was made of."""

    row: ModuleKind
    model: nn.Module
    learner: ContinualLearner
    data: Sequence[Tensor]

    @property
    def memory(self) -> WeightMemory:
        return self.learner._learned.method.memory

    @torch.no_grad()
    def scores(self, task: int, x: Tensor) -> Tensor:
        """Logits of the reference."""
        return plain(self.row, self.memory, task).eval()(x.clone())


@pytest.fixture(scope="module", params=RIGHT, ids=lambda row: row.name)
def learned(request) -> Learned:
    row = request.param
    seeded(0)
    model, data = made(row), [inputs(row, seed) for seed in (1, 2)]
    own = learner(row, model)
    for task, x in zip(TASKS, data, strict=True):
        own.fit(x, LABELS, task=task)
    return Learned(row, model, own, data)


def near(found: Tensor, expected: Tensor) -> bool:
    if not expected.is_floating_point():
        return torch.equal(found, expected)
    size = float(expected.detach().abs().max()) if expected.numel() else 0.0
    return found.shape == expected.shape and torch.allclose(
        found, expected, rtol=1e-4, atol=1e-5 * max(size, 1e-3)
    )


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: t.detach().clone() for name, t in module.state_dict().items()}


def same_state(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(t, other[n]) for n, t in one.items())


def test_answers(learned: Learned) -> None:
    for number, (task, x) in enumerate(zip(TASKS, learned.data, strict=True)):
        given, expected = x.clone(), learned.scores(number, x)
        with torch.no_grad():
            assert near(learned.memory.run(number, x.clone(), training=False), expected)
            assert near(learned.learner.export(task)(x.clone()), expected)
        for _ in range(2):
            found = torch.as_tensor(learned.learner.predict_proba(given, task))
            assert torch.allclose(found, expected.softmax(1), atol=1e-5)
        assert torch.equal(given, x)


def test_all_tasks_at_once(learned: Learned) -> None:
    x = learned.data[0]
    expected = torch.stack([learned.scores(task, x) for task in range(2)])
    given = x.clone()
    ask = AllTasks(learned.memory)
    assert near(ask(given), expected)
    assert torch.equal(given, x)
    assert near(ask(x.clone()), expected)
    learned.learner.predict(x)
    assert near(torch.stack([learned.scores(task, x) for task in range(2)]), expected)


def test_training(learned: Learned) -> None:
    """A new task and an old one in turn: the outputs, the gradient and the state that is left."""
    row, method = learned.row, learned.learner._learned.copy().method
    method.begin_task(TaskSpec(2, 3))
    memory, references = method.memory, {}
    assert set(memory.layouts[0].shapes) == {
        name for name, p in made(row).named_parameters() if p.requires_grad
    }
    for step, task in enumerate((2, 0, 2)):
        if task not in references:
            references[task] = plain(row, memory, task)
        reference, x = references[task], inputs(row, 10 + step)
        learns = [*memory.hypernet.parameters(), *memory.condition.parameters(task)]
        seeded(step)
        logits = logits_of(memory.run(task, x.clone(), training=True))
        seeded(step)
        expected = reference(x.clone())
        assert near(logits, expected)
        pull = torch.randn_like(logits)
        found = torch.autograd.grad(logits, learns, pull, materialize_grads=True)
        values, own = generated(memory, task), dict(reference.named_parameters())
        wanted = torch.autograd.grad(
            expected, [own[name] for name in values], pull, materialize_grads=True
        )
        wanted = [each.to_dense() if each.is_sparse else each for each in wanted]
        assert any(gradient.any() for gradient in wanted)
        through = torch.autograd.grad([*values.values()], learns, wanted, materialize_grads=True)
        for one, other in zip(found, through, strict=True):
            size = float(other.detach().abs().max())
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * size)
        buffers = dict(reference.named_buffers())
        assert memory.buffers[task].keys() == buffers.keys()
        assert all(near(memory.buffers[task][n], b) for n, b in buffers.items())
    for task, reference in references.items():
        with torch.no_grad():
            expected = reference.eval()(x.clone())
            assert near(memory.run(task, x.clone(), training=False), expected)


def test_export_stands_alone(learned: Learned) -> None:
    x, exported = learned.data[1], learned.learner.export("b")
    assert not any(part.training for part in exported.modules())
    assert [type(part).__name__ for part in exported.modules()] == [
        type(part).__name__ for part in made(learned.row).modules()
    ]
    with torch.no_grad():
        expected = exported(x.clone())
        assert near(copy.deepcopy(exported)(x.clone()), expected)
        file = io.BytesIO()
        torch.save(exported.state_dict(), file)
        file.seek(0)
        stored = torch.load(file, weights_only=True)
        other = learned.learner.export("b")
        for parameter in other.parameters():
            parameter.zero_()
        other.load_state_dict(stored)
        assert near(other(x.clone()), expected)
        assert near(learned.learner.export("b")(x.clone()), expected)


def test_saved_and_loaded(learned: Learned, tmp_path: Path) -> None:
    """Into a model made anew; with other values, unless weights start at its own."""
    learned.learner.save(tmp_path / "learner")
    anew = made(learned.row, seed=99)
    if learned.learner.start.startswith("pretrained"):
        anew.load_state_dict(learned.learner.model.state_dict())
    loaded = ContinualLearner.load(tmp_path / "learner", anew)
    for task, x in zip(TASKS, learned.data, strict=True):
        found, expected = (each.predict_proba(x, task) for each in (loaded, learned.learner))
        assert np.allclose(found, expected, atol=1e-6)
    assert np.array_equal(loaded.predict(x), learned.learner.predict(x))
    loaded.fit(x, LABELS, task="c")
    assert loaded.predict_proba(x, "c").shape == (8, 2)


def test_the_model_and_what_is_frozen_are_left_alone(learned: Learned) -> None:
    start = made(learned.row)
    assert same_state(state(learned.model), state(start))
    assert [part.training for part in learned.model.modules()] == [
        part.training for part in start.modules()
    ]
    exported = dict(learned.learner.export("a").named_parameters())
    for name, parameter in start.named_parameters():
        if not parameter.requires_grad:
            assert torch.equal(exported[name], parameter)


@pytest.mark.parametrize("row", [row for row in RIGHT if row.holds], ids=lambda row: row.name)
def test_parameters_mean_what_they_meant(row: ModuleKind) -> None:
    assert row.holds(made(row))
    own = learner(row, made(row), iterations=1, lr=1e-4)
    for task, x in zip(TASKS, (inputs(row, 1), inputs(row, 2)), strict=True):
        own.fit(x, LABELS, task=task)
        assert row.holds(own.export(task))


@pytest.fixture
def no_steps() -> Iterator[None]:
    """No optimiser takes a step."""

    def step(*_: object) -> None:
        raise AssertionError("it was trained")

    hook = register_optimizer_step_pre_hook(step)
    yield
    hook.remove()


@pytest.mark.parametrize("row", WRONG, ids=lambda row: row.name)
def test_refused_before_training(row: ModuleKind, no_steps: None) -> None:
    with pytest.raises(HypermnesiaError) as refused:
        learner(row, made(row)).fit(inputs(row, 1), LABELS, task="a")
    assert row.says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_input_changed_in_place_is_whole_for_tasks_of_other_sizes() -> None:
    """Whose networks are asked after the others."""
    row = next(row for row in KINDS if row.name == "an input changed in place")
    own = learner(row, made(row))
    for task, classes in enumerate((2, 3)):
        own.fit(inputs(row, task), torch.arange(8) % classes, task=task)
    x = inputs(row, 5)
    found = AllTasks(own._learned.method.memory)(x)
    with torch.no_grad():
        for task, classes in enumerate((2, 3)):
            assert near(found[task, :, :classes], own.export(task)(x.clone()))


def test_the_table_is_one_of_many_kinds() -> None:
    names = [row.name for row in KINDS]
    assert len(names) == len(set(names)) >= 60
    assert all(bool(row.says) == (row.outcome == REFUSED) for row in KINDS)
