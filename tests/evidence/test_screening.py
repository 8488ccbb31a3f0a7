"""What is in doubt after a first answer: by hand, and enough to find the surest exactly."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hypermnesia.evidence.entropy import (
    _entropy_range,
    entropy,
    in_doubt,
    probes,
    rough_error,
    spreads_of,
)

INF = float("inf")


def columns(*tasks: list[float]) -> Tensor:
    """(tasks, 1, outputs) scores of one sample."""
    return torch.tensor(tasks).unsqueeze(1)


UNIT = torch.ones(1, 1, 1)


def doubted(
    scores: Tensor, error: float, units: Tensor = UNIT, other_units: Tensor | None = None
) -> list[bool]:
    return in_doubt(scores, torch.tensor(error), units, other_units).squeeze(1).tolist()


def test_two_networks_that_are_about_as_sure_are_in_doubt() -> None:
    """Spreads are 2 and less, so scores may be off by 4 · 0.01 · 2 = 0.08.

    H(4, 0) = 0.0901 ± 0.08 · 2 p q 4 = 0.0113; H(3.8, 0) = 0.1053 ± 0.0130 and
    H(3.5, 0) = 0.1330 ± 0.0160, of which the lower end is 0.1170.
    """
    assert doubted(columns([4.0, 0.0], [3.8, 0.0]), 0.01) == [True, True]
    assert doubted(columns([4.0, 0.0], [3.5, 0.0]), 0.01) == [False, False]
    assert doubted(columns([4.0, 0.0], [3.5, 0.0]), 0.02) == [True, True]
    assert doubted(columns([4.0, 0.0], [3.8, 0.0], [2.0, 0.0]), 0.01) == [True, True, False]


def test_scores_are_off_by_as_much_whatever_they_are_divided_by() -> None:
    """H(2, 0) = 0.3653 ± 0.04 · 2 p q 2 = 0.0168 and H(1.9, 0) = 0.3863 ± 0.0172, by halves.

    Over 0.1 the second's are (38, 0), which is as good as certain.
    """
    scores = columns([4.0, 0.0], [3.8, 0.0])
    assert doubted(scores, 0.01, 2 * UNIT) == [True, True]
    assert doubted(scores, 0.005, 2 * UNIT) == [False, False]
    assert doubted(scores, 0.01, columns([2.0], [0.1])) == [False, False]


def test_the_class_of_the_surest_may_be_in_doubt() -> None:
    """(5, 4.95, 0) is surest by far, H = 0.71 against ln 3; 4 · 0.01 · 1.68 · 2 is above 0.05."""
    assert doubted(columns([5.0, 4.95, 0.0], [0.0, 0.0, 0.0]), 0.01) == [True, False]
    assert doubted(columns([5.0, 4.5, 0.0], [0.0, 0.0, 0.0]), 0.01) == [False, False]


def test_what_another_class_would_change_is_looked_at_if_it_may_be_the_class() -> None:
    """The second network is less sure than the first, unless its other class has small units."""
    units, other_units = columns([1.0], [2.0]), columns([1.0], [0.001])
    scores, far = (
        columns([4.0, 0.0, 0.0], [6.0, 5.99, 0.0]),
        columns([4.0, 0.0, 0.0], [6.0, 5.0, 0.0]),
    )
    assert doubted(scores, 0.01, units) == [False, False]
    assert doubted(scores, 0.01, units, units) == [False, False]
    assert doubted(scores, 0.01, units, other_units) == [True, True]
    assert doubted(far, 0.01, units, other_units) == [False, False]


def test_heads_of_different_widths_and_of_one_output() -> None:
    scores = columns([4.0, 0.0, -INF], [3.8, 0.0, -INF], [2.0, 1.9, 0.0])
    assert doubted(scores, 0.01) == [True, True, False]
    assert doubted(columns([1.0], [2.0]), 0.01) == [True, True]


def test_no_error_leaves_no_doubt_and_no_samples_none() -> None:
    scores = torch.randn(3, 50, 4)
    assert not in_doubt(scores, torch.tensor(0.0), UNIT).any()
    assert in_doubt(scores[:, :0], torch.tensor(0.1), UNIT).shape == (3, 0)


def test_the_error_of_first_answers_by_hand() -> None:
    """Off by 0.3 and 0.1 where the widest spread is 2, and by 0.5 where it is 5; one is padded."""
    exact = torch.tensor([[[4.0, 0.0], [10.0, 0.0]], [[1.0, 0.0], [0.0, -INF]]])
    rough = torch.tensor([[[4.3, 0.0], [10.0, 0.5]], [[1.0, 0.1], [0.0, -INF]]])
    shares = torch.tensor([0.15, 0.0, 0.0, 0.1, 0.0, 0.05, 0.0])
    assert rough_error(rough, exact).item() == pytest.approx(shares.square().mean().sqrt().item())


def test_probes_are_spread_over_the_samples() -> None:
    assert probes(1000, torch.device("cpu")).tolist()[::5] == [0, 333, 666, 999]
    assert probes(3, torch.device("cpu")).tolist() == [0, 1, 2]
    assert probes(0, torch.device("cpu")).tolist() == []


def test_the_range_is_that_of_the_gradient() -> None:
    scores = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    off, units = torch.rand(5).double(), torch.rand(2, 5, 1).double() + 0.5
    (slopes,) = torch.autograd.grad(entropy(scores / units).sum(), scores)
    low, high = _entropy_range(scores.detach(), off, units)
    assert torch.allclose((low + high) / 2, entropy(scores.detach() / units))
    assert torch.allclose((high - low) / 2, off * slopes.abs().sum(dim=2))


@given(
    seed=st.integers(0, 2**31),
    outputs=st.integers(2, 10),
    temperature=st.sampled_from([0.1, 1.0, 10.0]),
    calibrated=st.booleans(),
)
def test_settling_the_doubtful_finds_the_surest(
    seed: int, outputs: int, temperature: float, calibrated: bool
) -> None:
    """Errors anywhere within what scores are taken to be off by."""
    generator = torch.Generator().manual_seed(seed)
    exact = torch.randn(4, 500, outputs, generator=generator, dtype=torch.float64)
    exact *= torch.randn(4, 500, 1, generator=generator, dtype=torch.float64).exp()
    own = list(torch.rand(4, outputs, generator=generator, dtype=torch.float64) + 0.1)

    def units(scores: Tensor, rank: int = 0) -> Tensor:
        spreads = spreads_of(scores.topk(2).indices[..., rank : rank + 1], own, outputs)
        return temperature * (spreads if calibrated else UNIT)

    def surest(scores: Tensor) -> tuple[Tensor, Tensor]:
        tasks = entropy(scores / units(scores)).argmin(dim=0)
        return tasks, scores.argmax(dim=2)[tasks, torch.arange(500)]

    widest = (exact.amax(dim=2) - exact.mean(dim=2)).amax(dim=0)[:, None]
    noise = torch.rand(exact.shape, generator=generator, dtype=torch.float64) * 2 - 1
    error = torch.tensor(1e-3)
    rough = exact + noise * 0.98 * 5 * error * widest
    doubtful = in_doubt(rough, error, units(rough), units(rough, rank=1))
    settled = torch.where(doubtful.unsqueeze(2), exact, rough)
    for found, wanted in zip(surest(settled), surest(exact), strict=True):
        assert torch.equal(found, wanted)
    assert doubtful.float().mean() < 0.5
