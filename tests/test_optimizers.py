"""Clipping: torch's own, without waiting for the device, and nothing is hidden by it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hypermnesia.optimizers import OptimizerSettings, gradient_norm


def gradients(scale: float = 1.0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [scale * torch.randn(shape, generator=generator) for shape in ((3, 4), (5,), ())]


def clipped_by_torch(values: list[Tensor], clip: float) -> list[Tensor]:
    parameters = [nn.Parameter(torch.zeros_like(value)) for value in values]
    for parameter, value in zip(parameters, values, strict=True):
        parameter.grad = value.clone()
    torch.nn.utils.clip_grad_norm_(parameters, clip)
    return [p.grad for p in parameters if p.grad is not None]


@pytest.mark.parametrize("clip", [0.01, 1.0, 4.0, 1e6])
def test_it_clips_as_torch_does(clip: float) -> None:
    values = gradients()
    found = OptimizerSettings(clip=clip).clipped(values)
    for one, other in zip(found, clipped_by_torch(values, clip), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-9)
    assert float(gradient_norm(found)) == pytest.approx(min(clip, float(gradient_norm(values))))


def test_gradients_within_the_bound_are_the_same_bit_for_bit() -> None:
    values = gradients()
    for settings in (OptimizerSettings(), OptimizerSettings(clip=1e3)):
        for one, other in zip(settings.clipped(values), values, strict=True):
            assert torch.equal(one, other)


def test_no_gradient_at_all_stays_none() -> None:
    zeros = [torch.zeros(2), torch.zeros(3)]
    assert all((g == 0).all() for g in OptimizerSettings(clip=1.0).clipped(zeros))
    assert OptimizerSettings(clip=1.0).clipped([]) == []


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e30])
def test_clipping_hides_no_bad_gradient(bad: float) -> None:
    values = [torch.ones(3), torch.tensor([1.0, bad])]
    assert not gradient_norm(values).isfinite()
    assert not gradient_norm(OptimizerSettings(clip=1.0).clipped(values)).isfinite()


def test_what_no_gradient_reached_stays_without_one() -> None:
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    settings = OptimizerSettings("sgd", lr=1.0, clip=0.5)
    optimizer = settings.build([used, unused])
    (3.0 * used).sum().backward()
    settings.clip_gradients(optimizer)
    assert unused.grad is None
    assert float(gradient_norm([used.grad, unused.grad])) == pytest.approx(0.5)
    optimizer.step()
    torch.testing.assert_close(used.detach(), torch.full((2,), 1 - 0.5 / 2**0.5))
