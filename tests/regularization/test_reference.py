"""The definition itself, against numbers worked out by hand and finite differences."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from regularizer_cases import Case, assert_close, cases, direct, judge

from hypermnesia.hypernet.network import HypernetSettings, Hypernetwork, make_plan
from hypermnesia.regularization.output import (
    REGULARIZERS,
    ClosedFormRegularizer,
    DirectRegularizer,
    RegularizerSettings,
    Snapshot,
)
from hypermnesia.seeding import Generators


@pytest.mark.parametrize("kind", [DirectRegularizer, ClosedFormRegularizer])
def test_numbers_by_hand(kind: type) -> None:
    """h(e) = v e + b from (1, 0.5) to (1.5, 0.75): moved by 1.25 at e = 2, by -0.25 at e = -1.

    R = (1.25² + 0.25²) / 2; dv = 1.25 · 2 + 0.25 · 1; db = 1.25 - 0.25.
    """
    plan = make_plan("full", [1])
    sizes = HypernetSettings((), task_embedding=1, plan="full")
    hypernet = Hypernetwork(sizes, plan, torch.ones(1), torch.Generator().manual_seed(0))
    then = {"head.weight": torch.tensor([[1.0]]), "head.bias": torch.tensor([0.5])}
    point = {"head.weight": torch.tensor([[1.5]]), "head.bias": torch.tensor([0.75])}
    snapshot = Snapshot(then, torch.tensor([[2.0], [-1.0]]), [plan, plan])
    value, pull = judge(kind(hypernet, snapshot), point)
    assert value.item() == 0.8125
    assert pull["head.weight"].item() == 2.75
    assert pull["head.bias"].item() == 1.0


SMOOTH = Case((4, 3), "tanh", "even", 7, 3, 2, (11, 5), (2, 3, 2, 4), 0.5, 0)


@pytest.mark.parametrize("plan", ["full", "even", "layer"])
def test_gradient_is_the_slope_of_the_value(plan: str) -> None:
    case = Case(**{**vars(SMOOTH), "plan": plan})
    hypernet, snapshot, point = case.world(torch.float64)
    regularizer = DirectRegularizer(hypernet, snapshot)
    _, pull = judge(regularizer, point)
    generator = torch.Generator().manual_seed(1)
    for name, value in point.items():
        direction = torch.randn(value.shape, generator=generator, dtype=torch.float64)
        ahead, behind = (
            judge(regularizer, {**point, name: value + step * direction})[0]
            for step in (1e-5, -1e-5)
        )
        slope = (pull[name] * direction).sum()
        torch.testing.assert_close((ahead - behind) / 2e-5, slope, rtol=1e-7, atol=1e-9)


@settings(max_examples=15)
@given(cases)
def test_nothing_has_moved_at_the_snapshot(case: Case) -> None:
    hypernet, snapshot, _ = case.world(torch.float32)
    value, pull = direct((hypernet, snapshot, snapshot.parameters))
    assert value == 0
    assert all(not gradient.any() for gradient in pull.values())


@pytest.mark.parametrize("name", ["direct", "closed"])
def test_the_registered_kinds_are_built_from_network_and_snapshot(name: str) -> None:
    hypernet, snapshot, point = world = SMOOTH.world(torch.float64)
    built = REGULARIZERS[name](hypernet, snapshot, RegularizerSettings(), Generators(0))
    assert_close(judge(built, point), direct(world), 1e-10)
