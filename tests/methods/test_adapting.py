"""Networks for new tasks without a step on θ; tasks that start at the nearest known one."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import nn

from hypermnesia.data.types import Batch, Part, TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.noise import NoiseSettings
from hypermnesia.methods.adapting import adapt_task, losses_one_by_one
from hypermnesia.testing import check_method, same_state
from problems import batches, blobs, build, learn

NEAREST = HypernetSettings((8,), 4, 4, chunk=40, embedding_start="nearest")


def turned(angle: float, n: int = 64, task: int = 0) -> Part:
    """Two Gaussian clouds in a plane, turned about the origin."""
    generator = torch.Generator().manual_seed(int(1000 * angle) + n)
    y = torch.arange(n) % 2
    centre = torch.tensor([math.cos(angle), math.sin(angle)])
    x = (2.0 * y[:, None] - 1) * centre + 0.2 * torch.randn(n, 2, generator=generator)
    return Part(torch.cat([x, torch.zeros(n, 4)], dim=1), y, task)


def known(name: str = "hnet", tasks: int = 3, iterations: int = 40, **changes: Any) -> Any:
    method = build(name, **changes)
    for task in range(tasks):
        learn(method, blobs(task), iterations)
    return method


def few(part: Part, n: int = 10) -> Batch:
    return part.batch(torch.arange(n))


def test_losses_of_all_networks_at_once_are_those_of_each_alone() -> None:
    method, batch = known(), few(blobs(1))
    together, alone = method.losses_of(batch, [2, 0]), losses_one_by_one(method, batch, [2, 0])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("how", ["encoder", "gradient", "both"])
def test_theta_and_the_other_tasks_stay_bit_for_bit(how: str) -> None:
    method = known("hnet-data", iterations=6)
    before = copy.deepcopy(method.state_dict())
    answers = [method.predict(blobs(1).x, task).logits for task in range(3)]
    adapt_task(method, few(blobs(1)), how=how)  # type: ignore[arg-type]
    after = method.memory.state_dict()
    assert same_state(after["hypernet"], before["memory"]["hypernet"])
    assert method.memory.tasks == len(method.scenario.heads) == 4
    for task, wanted in enumerate(answers):
        assert torch.equal(method.predict(blobs(1).x, task).logits, wanted)
    method.remove_task(3)
    for part in ("memory", "heads"):
        assert same_state(method.state_dict()[part], before[part])


def test_a_search_starts_at_the_nearest_task_and_lowers_the_loss() -> None:
    method = known()
    shifted = Batch(few(blobs(1)).x + 1.0, few(blobs(1)).y, few(blobs(1)).task)
    known_losses = method.losses_of(shifted, range(3))
    near = adapt_task(method, shifted)
    assert near == int(known_losses.argmin())
    assert float(method.losses_of(shifted, [3])) < float(known_losses.min())


def test_an_adapted_task_can_be_gone_on_with() -> None:
    method = known()
    adapt_task(method, few(blobs(5)))
    before = method.memory.condition([0, 1, 2, 3]).detach()
    method.continue_task(3, 20)
    for batch in batches(blobs(5), 20):
        method.update(batch)
    method.end_task(batches(blobs(5), 1))
    after = method.memory.condition([0, 1, 2, 3]).detach()
    assert torch.equal(after[:3], before[:3])
    assert not torch.equal(after[3], before[3])


def test_an_encoder_makes_networks_for_directions_that_it_has_not_seen() -> None:
    settings = HypernetSettings((16, 16), 32, 4, "elu", "hyperfan", "full")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    method: Any = build("hnet-data", hypernet=settings, network=network)
    for task in range(8):
        learn(method, turned(task * math.pi / 4, task=task), 40)
    new = turned(math.pi / 8, 200)
    adapt_task(method, few(new, 12), how="encoder")
    right = method.predict(new.x, 8).logits.argmax(dim=1) == new.y
    assert float(right.float().mean()) > 0.95


@pytest.mark.parametrize(
    ("name", "how", "told"),
    [
        ("ewc", "gradient", "a hypernetwork must make the networks"),
        ("hnet", "encoder", "an encoder is part of hnet-data"),
        ("hnet-lik", "gradient", "must need no training"),
    ],
)
def test_what_cannot_adapt_is_refused(name: str, how: str, told: str) -> None:
    method = known(name, tasks=1, iterations=2)
    with pytest.raises(ConfigError, match=told):
        adapt_task(method, few(blobs(0)), how=how)  # type: ignore[arg-type]


def test_nothing_is_adapted_without_a_known_task() -> None:
    with pytest.raises(ConfigError, match="a task must be known"):
        adapt_task(build("hnet"), few(blobs(0)))


def test_a_task_may_start_at_the_nearest_known_embedding() -> None:
    method = known(hypernet=NEAREST)
    method.begin_task(TaskSpec(2, 5))
    batch = batches(blobs(1), 1)[0]
    near = int(method.losses_of(batch, range(3)).argmin())
    wanted = method.memory.condition([near])[0].detach().clone()
    method._start(batch)
    assert torch.equal(method.memory.condition([3])[0], wanted)
    assert not method.starting


def test_a_method_with_that_start_keeps_the_contract() -> None:
    check_method(lambda generators: build("hnet", generators=generators, hypernet=NEAREST))


@pytest.mark.parametrize("form", ["gaussian", "implicit"])
def test_drawn_networks_are_adapted_and_start_at_the_nearest(form: Any) -> None:
    method = known("hnet-bayes", hypernet=NEAREST, noise=NoiseSettings(form=form, draws=3))
    batch = few(blobs(1))
    before = float(method.losses_of(batch, range(3)).min())
    adapt_task(method, batch)
    assert float(method.losses_of(batch, [3])) < before
