"""One penalty stands for a sum of terms, values and gradients, also when rows are added."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hypermnesia.regularization.quadratic import QuadraticPenalty, sum_of_terms


def values(generator: torch.Generator, rows: int, positive: bool) -> dict[str, torch.Tensor]:
    drawn = {"weight": torch.randn(rows, 3, generator=generator)}
    drawn["bias"] = torch.randn(rows, generator=generator)
    return {name: v.square() if positive else v for name, v in drawn.items()}


def with_gradients(layer: nn.Linear) -> nn.Linear:
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    return layer


def test_it_is_the_sum_of_its_terms(double: None) -> None:
    generator, penalty, terms = torch.Generator().manual_seed(0), QuadraticPenalty(), []
    for rows in (2, 2, 3, 5):
        terms.append((values(generator, rows, True), values(generator, rows, False)))
        terms[-1][0]["weight"][0, 0] = 0.0  # a parameter that never mattered
        penalty.add(*terms[-1])
    layer = with_gradients(nn.Linear(3, 6))
    total = 0.7 * sum_of_terms(terms, dict(layer.named_parameters()))
    expected = torch.autograd.grad(total, list(layer.parameters()))
    torch.testing.assert_close(penalty.pull(layer, 0.7), total.detach())
    for parameter, gradient in zip(layer.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, 1.0 + gradient)
    assert gradient[5:].abs().max() == 0


def test_golden_numbers() -> None:
    """1 (θ - 0)² + 3 (θ - 4)² = 4 (θ - 3)² + 12."""
    penalty = QuadraticPenalty()
    penalty.add({"w": torch.tensor([1.0])}, {"w": torch.tensor([0.0])})
    penalty.add({"w": torch.tensor([3.0])}, {"w": torch.tensor([4.0])})
    assert (penalty.importance["w"], penalty.mean["w"], penalty.constant) == (4.0, 3.0, 12.0)


def test_a_single_term_replaces_all() -> None:
    penalty = QuadraticPenalty()
    penalty.add({"w": torch.tensor([1.0])}, {"w": torch.tensor([0.0])})
    penalty.add({"w": torch.tensor([1.0])}, {"w": torch.tensor([9.0])})
    penalty.replace({"w": torch.tensor([2.0])}, {"w": torch.tensor([5.0])})
    assert (penalty.importance["w"], penalty.mean["w"], penalty.constant) == (2.0, 5.0, 0.0)


@pytest.mark.parametrize("empty", [True, False])
def test_its_state_comes_back_and_its_size_is_counted(empty: bool) -> None:
    penalty, again = QuadraticPenalty(), QuadraticPenalty()
    if not empty:
        for point in (0.0, 2.0):
            penalty.add({"w": torch.ones(4)}, {"w": torch.full((4,), point)})
    again.load_state_dict(penalty.state_dict(), torch.device("cpu"))
    assert len(again) == len(penalty) == (0 if empty else 8)
    assert again.constant == penalty.constant == (0.0 if empty else 8.0)


def test_before_any_term_nothing_is_pulled() -> None:
    layer = with_gradients(nn.Linear(3, 2))
    assert QuadraticPenalty().pull(layer, 5.0) == 0
    assert all((p.grad == 1).all() for p in layer.parameters())
