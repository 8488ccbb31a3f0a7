"""Entropy by hand, and its gradient in the mixture against the definition, sample by sample."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hypermnesia.errors import ConfigError
from hypermnesia.evidence.entropy import (
    EntropySettings,
    entropy,
    entropy_slopes,
    mean_spreads,
    spread,
    spreads_of,
)

INF = float("inf")


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.5, 0.5], 0.6931471805599453),
        ([0.9, 0.1], 0.3250829733914482),
        ([0.7, 0.2, 0.1], 0.8018185525433373),
        ([0.25, 0.25, 0.25, 0.25], 1.3862943611198906),
    ],
)
def test_entropy_by_hand(p: list[float], expected: float) -> None:
    """-Σ p ln p; the scores may be log p plus any number."""
    scores = torch.tensor(p, dtype=torch.float64).log() + 3.0
    assert entropy(scores).item() == pytest.approx(expected, abs=1e-14)


def test_certainty_has_no_entropy_and_a_finite_gradient() -> None:
    scores = torch.tensor([[1000.0, -1000.0], [0.0, 200.0]], requires_grad=True)
    value = entropy(scores)
    assert torch.equal(value, torch.zeros(2))
    (gradient,) = torch.autograd.grad(value.sum(), scores)
    assert torch.equal(gradient, torch.zeros(2, 2))


def test_padded_columns_count_for_nothing() -> None:
    scores = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    padded = torch.cat([scores, torch.full((5, 2), -INF)], dim=1)
    assert torch.allclose(entropy(padded), entropy(scores), atol=1e-15)
    (gradient,) = torch.autograd.grad(entropy(padded).sum(), scores)
    assert gradient.isfinite().all()
    assert (gradient != 0).any()


def test_the_surest_network_wins_and_the_temperature_can_change_which() -> None:
    """At temperature 1, (4, 0, 0) leaves 0.19 nats and (3, 0, -inf) 0.19 too; see below.

    H(4, 0, 0) = 0.1781 and H(3, 0) = 0.1912 at temperature 1; at temperature 4, three outputs
    leave H(1, 0, 0) = 0.9753 where two leave H(0.75, 0) = 0.6276.
    """
    scores = torch.tensor([[[4.0, 0.0, 0.0]], [[3.0, 0.0, -INF]]])
    assert entropy(scores).argmin(dim=0).tolist() == [0]
    assert entropy(scores / 4.0).argmin(dim=0).tolist() == [1]


def test_mean_spreads_by_hand() -> None:
    """Spreads 4 - 2 = 2, 6 - 3 = 3 (class 0) and 9 - 4 = 5 (class 2); 10/3 for class 1."""
    scores = torch.tensor([[4.0, 1.0, 1.0], [6.0, 3.0, 0.0], [0.0, 3.0, 9.0]])
    found = mean_spreads(scores, torch.tensor([0, 0, 2]))
    assert found.tolist() == pytest.approx([2.5, 10 / 3, 5.0])


def test_a_spread_counts_for_nothing_what_is_padded() -> None:
    assert spread(torch.tensor([[4.0, 1.0, 1.0], [4.0, 2.0, -INF]])).tolist() == [2.0, 1.0]


def test_the_spread_of_the_class_that_is_answered() -> None:
    """The third task has none yet, and a wider head."""
    spreads = [torch.tensor([2.0, 3.0]), torch.tensor([5.0])]
    found = spreads_of(torch.tensor([[[0], [1]], [[0], [0]], [[2], [1]]]), spreads, outputs=3)
    assert found.squeeze(2).tolist() == [[2.0, 3.0], [5.0, 5.0], [1.0, 1.0]]


def test_mixed_networks_cannot_be_calibrated_or_screened() -> None:
    with pytest.raises(ConfigError, match="calibrated=false"):
        EntropySettings("entropy-gradient", calibrated=True)
    with pytest.raises(ConfigError, match=r"inference\.screen=null"):
        EntropySettings("entropy-gradient", screen="bf16")


def network(weights: Tensor, x: Tensor) -> Tensor:
    """(batch, 3) scores of a network of 4-5-3 units from 43 flat weights."""
    first, second, bias = weights.split([20, 15, 8])
    hidden = torch.tanh(x @ first.view(4, 5) + bias[:5])
    return hidden @ second.view(5, 3) + bias[5:]


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_slopes_are_the_gradients_of_every_sample_s_entropy(temperature: float) -> None:
    """The definition: α is a leaf, and each sample's entropy is differentiated on its own."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(6, 43, dtype=torch.float64, generator=generator)
    x = torch.randn(7, 4, dtype=torch.float64, generator=generator)
    expected = torch.empty(6, 7, dtype=torch.float64)
    for sample in range(7):
        alpha = torch.full((6,), 1 / 6, dtype=torch.float64, requires_grad=True)
        p = (network(alpha @ weights, x[sample : sample + 1]) / temperature).softmax(dim=1)
        (expected[:, sample],) = torch.autograd.grad(-(p * p.log()).sum(), alpha)
    found = entropy_slopes(lambda w: network(w, x), weights.mean(dim=0), weights, temperature)
    assert torch.allclose(found, expected, atol=1e-12)


def test_slopes_of_some_tasks_are_those_of_all() -> None:
    weights, x = torch.randn(6, 43, dtype=torch.float64), torch.randn(7, 4, dtype=torch.float64)
    mixture = weights.mean(dim=0)
    everything = entropy_slopes(lambda w: network(w, x), mixture, weights)
    some = entropy_slopes(lambda w: network(w, x), mixture, weights[2:4])
    assert torch.allclose(some, everything[2:4], atol=1e-14)


def test_by_hand_the_slope_of_two_logistic_networks() -> None:
    """Scores (w x, 0): H' = -u σ(u) σ(-u) du/dα with u = x (w_1 + w_2) / 2, du/dα_t = w_t x.

    x = 1, w = (2, 0): u = 1, σ(1) σ(-1) = 0.19661193, so the slopes are -0.39322387 and 0.
    """
    found = entropy_slopes(
        lambda w: torch.stack([w, torch.zeros_like(w)], dim=1),
        torch.tensor([1.0]),
        torch.tensor([[2.0], [0.0]]),
    )
    assert found.flatten().tolist() == pytest.approx([-0.39322387, 0.0], abs=1e-6)
    assert math.isclose(1 / (1 + math.e**-1) / (1 + math.e), 0.19661193, abs_tol=1e-8)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_is_above_zero(temperature):
    with pytest.raises(ConfigError, match=r"temperature must be above zero"):
        EntropySettings(temperature=temperature)
