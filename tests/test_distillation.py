"""Distillation against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from hypermnesia.errors import ConfigError
from hypermnesia.methods.lwf import DistillationSettings, distill

INF = math.inf


def test_hand_computed() -> None:
    # At T = 2 the target 2 ln 3 : 0 is softmax(ln 3, 0) = (3/4, 1/4); even scores say ln 1/2.
    target = torch.tensor([[2 * math.log(3), 0.0]])
    assert distill(torch.zeros(1, 2), target, 2.0).item() == pytest.approx(4 * math.log(2))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert distill(target, target, 2.0).item() == pytest.approx(4 * entropy)


def test_it_is_a_mean_over_the_batch() -> None:
    scores, target = torch.tensor([[1.0, -2.0], [0.5, 3.0]]), torch.tensor([[0.0, 1.0], [2.0, 2.0]])
    each = [distill(scores[i : i + 1], target[i : i + 1], 3.0) for i in range(2)]
    torch.testing.assert_close(distill(scores, target, 3.0), sum(each) / 2)


def test_its_gradient_does_not_vanish_with_the_temperature(double: None) -> None:
    """T (softmax(s/T) - softmax(t/T)) / n, which tends to (s - t) / k for centred logits."""
    scores = torch.tensor([[0.3, -0.1, -0.2]], requires_grad=True)
    target = torch.tensor([[-0.5, 0.4, 0.1]])
    (gradient,) = torch.autograd.grad(distill(scores, target, 1000.0), scores)
    torch.testing.assert_close(gradient, (scores - target).detach() / 3, rtol=1e-3, atol=1e-5)


def test_a_class_that_the_teacher_does_not_know_gets_no_probability() -> None:
    scores = torch.tensor([[1.0, 2.0, 0.5]], requires_grad=True)
    loss = distill(scores, torch.tensor([[1.0, 2.0, -INF]]), 2.0)
    (gradient,) = torch.autograd.grad(loss, scores)
    assert gradient[0, 2] > 0
    torch.testing.assert_close(gradient.sum(), torch.tensor(0.0), atol=1e-6, rtol=0)


def test_a_class_that_neither_knows_changes_nothing() -> None:
    scores, target = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 1.0]])
    wide = torch.tensor([[1.0, 2.0, -INF]], requires_grad=True)
    loss = distill(wide, torch.tensor([[0.0, 1.0, -INF]]), 2.0)
    torch.testing.assert_close(loss, distill(scores, target, 2.0))
    (gradient,) = torch.autograd.grad(loss, wide)
    assert gradient.isfinite().all()


def test_no_gradient_reaches_the_targets() -> None:
    target = torch.tensor([[0.0, 1.0]], requires_grad=True)
    assert not distill(torch.zeros(1, 2), target, 2.0).requires_grad


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_is_positive(temperature: float) -> None:
    with pytest.raises(ConfigError, match="temperature"):
        DistillationSettings(temperature)
