"""Fisher information and path integral against definitions, loops and numbers by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hypermnesia.errors import ConfigError
from hypermnesia.nets import NETS, NetSettings
from hypermnesia.regularization import quadratic as importance
from hypermnesia.regularization.quadratic import (
    PathIntegral,
    diagonal_fisher,
    drawn_inputs,
    is_plain,
    summed_by_layer,
    summed_by_sample,
)
from problems import small_net

ALL = slice(0, 3)


def mlp() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Flatten(), nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4, bias=False), nn.ReLU()]
        return nn.Sequential(*layers, nn.Dropout(0.5), nn.Linear(4, 3)).eval()


def inputs(n: int = 7) -> torch.Tensor:
    return torch.randn(n, 2, 3, generator=torch.Generator().manual_seed(1))


def by_loop(network: nn.Module, x: torch.Tensor, columns: slice) -> dict[str, torch.Tensor]:
    """The definition with nothing but autograd: one sample and one class at a time."""
    total = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    for sample in x:
        for c in range(columns.stop - columns.start):
            logs = network(sample[None])[0, columns].log_softmax(0)
            gradients = torch.autograd.grad(logs[c], list(network.parameters()))
            for name, g in zip(total, gradients, strict=True):
                total[name] += logs[c].exp().detach() * g.square()
    return total


@pytest.mark.parametrize("columns", [ALL, slice(1, 3)])
@pytest.mark.parametrize("summed", [summed_by_sample, summed_by_layer])
def test_the_fisher_is_the_sum_over_samples_and_classes(double: None, summed, columns) -> None:
    network, x = mlp(), inputs()
    for name, expected in by_loop(network, x, columns).items():
        torch.testing.assert_close(summed(network, x, columns)[name], expected)


def test_it_is_a_mean_over_all_batches(double: None) -> None:
    network, x = mlp(), inputs()
    found = diagonal_fisher(network, [x[:4], x[4:]], ALL)
    for name, expected in by_loop(network, x, ALL).items():
        torch.testing.assert_close(found[name], expected / 7)
        assert not found[name].requires_grad


def test_slices_change_nothing(double: None, monkeypatch) -> None:
    network, x = mlp(), inputs()
    whole = summed_by_sample(network, x, ALL)
    monkeypatch.setattr(importance, "_GRADIENT_BYTES", 3 * 8 * 3 * 70)
    for name, values in summed_by_sample(network, x, ALL).items():
        torch.testing.assert_close(values, whole[name])


def test_the_square_of_a_batch_mean_is_something_else(double: None) -> None:
    """What several public implementations compute: here far below the true values."""
    network, x = mlp(), inputs(64)
    logs = network(x).log_softmax(1)
    mean = -(logs.exp().detach() * logs).sum(1).mean()
    wrong = torch.autograd.grad(mean, list(network.parameters()))
    right = diagonal_fisher(network, [x], ALL).values()
    assert sum(g.square().sum() for g in wrong) < 0.1 * sum(f.sum() for f in right)


def test_the_given_labels_play_no_part_and_a_learned_task_still_has_information() -> None:
    """For two classes F = p (1 - p) x², whichever was right."""
    network = nn.Sequential(nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    x = torch.tensor([[math.log(3.0), 2.0], [0.0, 1.0]])
    # The first sample has odds 3 to 1, p (1 - p) = 3/16; the second 1 to 1, 1/4.
    first = 3 / 16 * math.log(3.0) ** 2 / 2
    second = (3 / 16 * 4 + 1 / 4) / 2
    found = diagonal_fisher(network, [x], slice(0, 2))["0.weight"]
    expected = torch.tensor([[first, second], [first, second]])
    torch.testing.assert_close(found, expected)


def test_a_column_alone_has_no_information() -> None:
    found = diagonal_fisher(mlp(), [inputs()], slice(1, 2))
    assert all(values.abs().max() == 0 for values in found.values())


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.tanh(self.a(x.flatten(1))))


NETWORKS = {
    "batch-norm": (small_net(), (6,)),
    "lenet": (NETS["lenet"]((1, 8, 8), 3, NetSettings(hidden=(5,))), (1, 8, 8)),
    "tied": (Tied(), (6,)),
    "nested": (nn.Sequential(mlp()), (6,)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_other_networks_go_by_the_definition(name: str) -> None:
    network, shape = NETWORKS[name]
    network.eval()
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    assert not is_plain(network, x)
    columns = slice(0, 2)
    found = diagonal_fisher(network, [x], columns)
    for parameter, expected in by_loop(network, x, columns).items():
        torch.testing.assert_close(found[parameter], expected / 3, rtol=1e-4, atol=1e-8)


SHARED = nn.ReLU()


@pytest.mark.parametrize(
    ("network", "shape", "plain"),
    [
        (mlp(), (4, 2, 3), True),
        (nn.Sequential(nn.Linear(3, 2)), (4, 3), True),
        (nn.Sequential(nn.Linear(3, 2)), (4, 5, 3), False),
        (nn.Sequential(nn.Flatten(2), nn.Linear(3, 2)), (4, 5, 3), False),
        (nn.Sequential(SHARED, nn.Linear(3, 3), SHARED), (4, 3), False),
        (nn.Sequential(nn.Linear(3, 3), nn.ReLU(inplace=True)), (4, 3), False),
        (nn.Linear(3, 2), (4, 3), False),
    ],
)
def test_the_fast_way_is_taken_only_where_it_is_right(network, shape, plain) -> None:
    assert is_plain(network, torch.zeros(shape)) is plain


def test_a_subset_is_drawn_from_all_batches_and_by_the_seed() -> None:
    batches = torch.arange(100.0)[:, None].split(8)

    def drawn(seed: int, samples: int | None = 10) -> list[float]:
        generator = torch.Generator().manual_seed(seed)
        return torch.cat(list(drawn_inputs(batches, samples, generator))).flatten().tolist()

    assert drawn(0, None) == list(range(100))
    assert sorted(drawn(0, 1000)) == list(range(100))
    assert drawn(0) == drawn(0) != drawn(1)
    assert len(set(drawn(0))) == 10
    means = [sum(drawn(seed)) / 10 for seed in range(200)]
    # The mean of 10 of 0..99 has a standard deviation of 8.7; that of 200 such means of 0.6.
    assert abs(sum(means) / 200 - 49.5) < 3


def test_no_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="samples"):
        diagonal_fisher(mlp(), drawn_inputs([], 3, torch.Generator()), ALL)


def test_the_path_integral_of_a_quadratic_loss(double: None) -> None:
    """L = a θ²/2 by gradient descent: g_k = a θ_k, θ_k = θ_0 q^k with q = 1 - η a."""
    a, rate, steps, start = torch.tensor([1.0, 4.0]), 0.1, 5, torch.tensor([2.0, -3.0])
    path, theta = PathIntegral({"p": start}), start.clone()
    for _ in range(steps):
        gradient, before = a * theta, theta.clone()
        theta = theta - rate * gradient
        path.add({"p": gradient}, {"p": theta - before})
    q = 1 - rate * a
    omega = rate * (a * start).square() * (1 - q ** (2 * steps)) / (1 - q**2)
    torch.testing.assert_close(path.omega["p"], omega)
    moved = start * (1 - q**steps)
    expected = omega / (moved.square() + 0.1)
    torch.testing.assert_close(path.importance({"p": theta}, 0.1)["p"], expected)


def test_small_steps_sum_to_the_fall_of_the_loss(double: None) -> None:
    theta, rate = torch.tensor([1.0, 2.0]), 1e-4
    path, before = PathIntegral({"p": theta}), F.softplus(theta).sum()
    for _ in range(1000):
        change = -rate * theta.sigmoid()
        path.add({"p": theta.sigmoid()}, {"p": change})
        theta = theta + change
    fall = before - F.softplus(theta).sum()
    torch.testing.assert_close(path.omega["p"].sum(), fall, rtol=1e-4, atol=0)
