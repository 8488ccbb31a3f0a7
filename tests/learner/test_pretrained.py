"""Weights that start at a model's own values: W = W0 + s h(e), with h = 0 at first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learners import mlp
from torch import Tensor, nn

from hypermnesia import ContinualLearner, HypernetSettings, RunError, WeightMemory
from hypermnesia.errors import ConfigError
from hypermnesia.learner.start import settled
from hypermnesia.nets import NetSettings, resnet32
from hypermnesia.seeding import Generators

SMALL = HypernetSettings((6, 6), 6, 6, "elu", init="hyperfan", plan="even", chunk=40)


def rows(task: int, classes: int = 3, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    centres = rng.standard_normal((6, 6))[task : task + classes]
    y = np.arange(n) % classes
    return (centres[y] + 0.1 * rng.standard_normal((n, 6))).astype(np.float32), y


def trained() -> nn.Module:
    """Answers `rows(0)` without a mistake."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    x, y = map(torch.as_tensor, rows(0))
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model


def disturbed(memory: WeightMemory) -> None:
    """Change θ, as if tasks had been learned."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in memory.hypernet.parameters():
            parameter += torch.randn(parameter.shape, generator=generator)


MODELS: dict[str, tuple[nn.Module, Tensor]] = {
    "mlp": (mlp(), torch.randn(5, 6)),
    "resnet": (resnet32((3, 8, 8), 2, NetSettings((), 0.0)), torch.randn(4, 3, 8, 8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_task_starts_as_the_model_bit_for_bit(name: str) -> None:
    model, x = MODELS[name]
    memory = WeightMemory(model, SMALL, start="pretrained")
    expected = model.eval()(x)
    for task in range(3):
        memory.add_task(2, Generators(task))
        assert torch.equal(memory.run(task, x, training=False), expected)
        assert all(map(torch.equal, memory.export(task).parameters(), model.parameters()))
        disturbed(memory)
        assert not torch.equal(memory.weights(0), torch.zeros_like(memory.weights(0)))


def test_a_new_head_is_drawn_and_everything_else_is_the_model() -> None:
    model = mlp(outputs=2)
    memory = WeightMemory(model, SMALL, start="pretrained")
    for task in range(2):
        memory.add_task(5, Generators(0))
        made, own = memory.export(task), model.state_dict()
        assert made[-1].out_features == 5
        assert made[-1].weight.std() > 0.05
        assert all(
            torch.equal(value, own[name])
            for name, value in made.state_dict().items()
            if not name.startswith("4.")
        )
        disturbed(memory)


def test_the_gradient_reaches_what_must_move_first() -> None:
    memory = WeightMemory(mlp(), SMALL, start="pretrained")
    memory.add_task(2, Generators(0))
    memory.weights(0).sum().backward()
    assert memory.hypernet.head.weight.grad.abs().min() > 0  # V = 0, and e is not
    disturbed(memory)
    memory.add_task(2, Generators(0))
    memory.weights(1).sum().backward()
    (embedding,) = memory.condition.parameters(1)
    assert not embedding.any()
    assert embedding.grad.abs().min() > 0


def test_another_condition_is_refused() -> None:
    own = replace(SMALL, condition="hypermnesia.hypernet.conditions:TaskEmbedding")
    with pytest.raises(ConfigError, match="made from a task embedding"):
        WeightMemory(mlp(), own, start="pretrained")


def test_one_update_of_a_trained_network_loses_nothing() -> None:
    model = trained()
    learner = ContinualLearner(model, None, iterations=1, validation=0, lr=1e-3)
    for task in "ab":
        assert learner.fit(*rows(0), task=task).score(*rows(0), task=task) == 1.0
    assert learner.start == "pretrained: its values are not those of an initialisation"
    assert learner.start in learner.summary()
    anew = ContinualLearner(model, None, iterations=1, validation=0, start="scratch")
    assert anew.fit(*rows(0), task="a").score(*rows(0), task="a") < 1.0
    assert anew.start == "scratch"


@pytest.mark.parametrize("start", ["pretrained", "scratch"])
def test_statistics_of_a_pretrained_model_in_eval_mode_stay(start: Any) -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3)).eval()
    model[1].running_mean += 1
    learner = ContinualLearner(model, None, iterations=3, validation=0, start=start)
    network = learner.fit(*rows(0), task="a").export("a")
    left = torch.equal(network[1].running_mean, model[1].running_mean)
    assert left == (start == "pretrained")
    memory = learner._knowledge.method.memory
    assert memory.target.module[2].training  # dropout is of training alone
    model[1].train()
    model.training = True
    anew = ContinualLearner(model, None, iterations=3, validation=0, start="pretrained")
    network = anew.fit(*rows(0), task="a").export("a")
    assert not torch.equal(network[1].running_mean, model[1].running_mean)


def test_later_tasks_are_learned_and_earlier_ones_kept() -> None:
    learner = ContinualLearner(trained(), None, iterations=150, lr=3e-3, validation=0)
    for task in range(3):
        learner.fit(*rows(task), task=task)
    assert all(learner.score(*rows(task), task=task) > 0.97 for task in range(3))


def test_what_is_an_initialisation() -> None:
    for seed, init in enumerate((None, nn.init.kaiming_normal_, nn.init.orthogonal_)):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Linear(64, 40))
        if init is not None:
            init(model[0].weight)
        assert settled(model, "auto")[0] == "scratch"
    assert settled(model[0].requires_grad_(False), "auto")[1] == "parameters are frozen"
    assert settled(trained(), "auto")[0] == "pretrained"
    assert settled(trained(), "scratch") == ("scratch", "")


def test_a_saved_learner_refuses_another_base(tmp_path: Path) -> None:
    model = trained()
    model[0].requires_grad_(False)
    learner = ContinualLearner(model, None, iterations=20, lr=0.01, validation=0)
    learner.fit(*rows(1), task="a").fit(*rows(2), task="b")
    learner.save(tmp_path / "learner")
    loaded = ContinualLearner.load(tmp_path / "learner", model)
    for task in "ab":
        x = rows(0)[0]
        assert np.array_equal(loaded.predict_proba(x, task), learner.predict_proba(x, task))
    loaded.fit(*rows(0), task="c")
    assert loaded.score(*rows(0), task="c") > 0.9
    for name in ("0.weight", "2.bias"):
        other = trained()
        other[0].requires_grad_(False)
        with torch.no_grad():
            other.get_parameter(name).add_(0.1)
        with pytest.raises(RunError, match=f"needs that model; got other values of '{name}'"):
            ContinualLearner.load(tmp_path / "learner", other)


def test_what_is_the_users_own_is_not_kept() -> None:
    model = trained()
    model[0].requires_grad_(False)
    memory = WeightMemory(model, SMALL, generated=["2.*"], start="pretrained")
    memory.add_task(3, Generators(0))
    learned = sum(p.numel() for p in memory.hypernet.parameters())
    assert memory.kept == learned + SMALL.task_embedding
    state = memory.state_dict()
    assert not state["shared"]
    assert "starts" not in state
