"""What is in doubt after a first answer: by hand, and enough to find the surest exactly."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hypermnesia.inference import calibrated, entropy
from hypermnesia.screening import _entropy_range, in_doubt, probes, rough_error

INF = float("inf")


def columns(*tasks: list[float]) -> Tensor:
    """(tasks, 1, outputs) scores of one sample."""
    return torch.tensor(tasks).unsqueeze(1)


def doubted(scores: Tensor, error: float, others: Tensor | None = None) -> list[bool]:
    return in_doubt(scores, torch.tensor(error), others).squeeze(1).tolist()


def test_two_networks_that_are_about_as_sure_are_in_doubt() -> None:
    """Spreads are 2 and less, so scores may be off by 4 · 0.01 · 2 = 0.08.

    H(4, 0) = 0.0901 ± 0.08 · 2 p q 4 = 0.0113; H(3.8, 0) = 0.1053 ± 0.0130 and
    H(3.5, 0) = 0.1330 ± 0.0160, of which the lower end is 0.1170.
    """
    assert doubted(columns([4.0, 0.0], [3.8, 0.0]), 0.01) == [True, True]
    assert doubted(columns([4.0, 0.0], [3.5, 0.0]), 0.01) == [False, False]
    assert doubted(columns([4.0, 0.0], [3.5, 0.0]), 0.02) == [True, True]
    assert doubted(columns([4.0, 0.0], [3.8, 0.0], [2.0, 0.0]), 0.01) == [True, True, False]


def test_a_temperature_leaves_the_same_in_doubt_where_entropies_are_far_from_0() -> None:
    """The error is a share of the spread, whatever the scores are divided by."""
    scores = columns([0.04, 0.0], [0.038, 0.0], [0.02, 0.0]).double()
    assert doubted(scores, 0.01) == doubted(scores / 100, 0.01) == [True, True, False]


def test_the_class_of_the_surest_may_be_in_doubt() -> None:
    """(5, 4.95, 0) is surest by far, H = 0.71 against ln 3; 4 · 0.01 · 1.68 · 2 is above 0.05."""
    assert doubted(columns([5.0, 4.95, 0.0], [0.0, 0.0, 0.0]), 0.01) == [True, False]
    assert doubted(columns([5.0, 4.5, 0.0], [0.0, 0.0, 0.0]), 0.01) == [False, False]


def test_what_another_class_would_change_is_looked_at_if_it_may_be_the_class() -> None:
    scores = columns([4.0, 0.0, 0.0], [3.0, 2.99, 0.0])
    others = columns([4.0, 0.0, 0.0], [30.0, 29.0, 0.0])
    surer = columns([4.0, 0.0, 0.0], [30.0, 0.0, 0.0])
    assert doubted(scores, 0.01) == [False, False]
    assert doubted(scores, 0.01, others) == [False, False]
    assert doubted(scores, 0.01, surer) == [True, True]
    far = columns([4.0, 0.0, 0.0], [3.0, 2.5, 0.0])
    assert doubted(far, 0.01, surer) == [False, False]


def test_heads_of_different_widths_and_of_one_output() -> None:
    scores = columns([4.0, 0.0, -INF], [3.8, 0.0, -INF], [2.0, 1.9, 0.0])
    assert doubted(scores, 0.01) == [True, True, False]
    assert doubted(columns([1.0], [2.0]), 0.01) == [True, True]


def test_no_error_leaves_no_doubt_and_no_samples_none() -> None:
    scores = torch.randn(3, 50, 4)
    assert not in_doubt(scores, torch.tensor(0.0)).any()
    assert in_doubt(scores[:, :0], torch.tensor(0.1)).shape == (3, 0)


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
    off = torch.rand(5, dtype=torch.float64)
    (slopes,) = torch.autograd.grad(entropy(scores).sum(), scores)
    low, high = _entropy_range(scores.detach(), off)
    assert torch.allclose((low + high) / 2, entropy(scores.detach()))
    assert torch.allclose((high - low) / 2, off * slopes.abs().sum(dim=2))


def surest(scores: Tensor, spreads: list[Tensor], temperature: float) -> tuple[Tensor, Tensor]:
    answers = scores.argmax(dim=2, keepdim=True)
    compared = calibrated(scores, spreads, answers) if spreads else scores
    tasks = entropy(compared / temperature).argmin(dim=0)
    return tasks, answers.squeeze(2)[tasks, torch.arange(scores.shape[1])]


@given(
    seed=st.integers(0, 2**31),
    outputs=st.integers(2, 10),
    temperature=st.sampled_from([0.1, 1.0, 10.0]),
    calibrate=st.booleans(),
)
def test_settling_the_doubtful_finds_the_surest(
    seed: int, outputs: int, temperature: float, calibrate: bool
) -> None:
    """Errors anywhere within what scores are taken to be off by."""
    generator = torch.Generator().manual_seed(seed)
    exact = torch.randn(4, 500, outputs, generator=generator, dtype=torch.float64)
    exact *= torch.randn(4, 500, 1, generator=generator, dtype=torch.float64).exp()
    own = torch.rand(4, outputs, generator=generator, dtype=torch.float64) + 0.5
    spreads = list(own) if calibrate else []
    widest = (exact.amax(dim=2) - exact.mean(dim=2)).amax(dim=0)[:, None]
    noise = torch.rand(exact.shape, generator=generator, dtype=torch.float64) * 2 - 1
    error = torch.tensor(2e-3)
    rough = exact + noise * 4 * error * widest * (0.66 if calibrate else 0.98)

    def compared(rank: int) -> Tensor:
        classes = rough.topk(2).indices[..., rank : rank + 1]
        return (calibrated(rough, spreads, classes) if spreads else rough) / temperature

    doubtful = in_doubt(compared(0), error, compared(1) if spreads else None)
    settled = torch.where(doubtful.unsqueeze(2), exact, rough)
    for found, wanted in zip(
        surest(settled, spreads, temperature), surest(exact, spreads, temperature), strict=True
    ):
        assert torch.equal(found, wanted)
    assert doubtful.float().mean() < 0.3
