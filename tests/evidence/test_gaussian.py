"""Gaussians against scikit-learn and SciPy, full and of low rank, pooled, and thinned."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf

from hypermnesia.evidence import inputs
from hypermnesia.evidence.gaussian import (
    Gaussian,
    GaussiansModule,
    fitted,
    mixture,
    pooled,
    shrinkage,
)

MANY = 1e6


def rows(n: int, entries: int = 5, seed: int = 0) -> torch.Tensor:
    """Correlated, about a mean of the seed's own."""
    rng = np.random.default_rng(seed)
    mix = np.eye(entries) + rng.standard_normal((entries, entries))
    return torch.from_numpy(rng.standard_normal((n, entries)) @ mix + rng.normal(size=entries))


def covariance(found: Gaussian) -> torch.Tensor:
    return found.factor.T @ found.factor + found.noise.diag()


@pytest.mark.parametrize(("n", "entries"), [(200, 5), (20, 5), (12, 30)])
def test_shrinkage_is_that_of_ledoit_and_wolf(n: int, entries: int) -> None:
    x = rows(n, entries)
    expected, share = ledoit_wolf(x.numpy())
    assert float(shrinkage(x - x.mean(dim=0))) == pytest.approx(share, abs=1e-10)
    assert np.allclose(covariance(fitted(x, MANY)), expected)


@pytest.mark.parametrize("numbers", [MANY, 12.0, 6.0, 1.0])
def test_the_density_is_that_of_its_mean_and_covariance(numbers: float) -> None:
    found, x = fitted(rows(40), numbers), rows(9, seed=1)
    expected = multivariate_normal(found.mean.numpy(), covariance(found).numpy()).logpdf(x)
    assert np.allclose(found.log_density(x), expected)
    assert found.kept == {MANY: 20, 12.0: 15, 6.0: 10, 1.0: 10}[numbers]
    assert torch.allclose(
        covariance(found).diagonal(), covariance(fitted(rows(40), MANY)).diagonal()
    )


@pytest.mark.parametrize("numbers", [MANY, 12.0])
def test_draws_have_its_mean_and_covariance(numbers: float) -> None:
    own = fitted(rows(50), numbers)
    drawn = own.sample(40_000, torch.Generator().manual_seed(0))
    wanted = covariance(own)
    scale = wanted.diagonal().max()
    torch.testing.assert_close(drawn.mean(dim=0), own.mean, rtol=0, atol=0.03 * scale**0.5)
    torch.testing.assert_close(drawn.T.cov(), wanted, rtol=0, atol=0.05 * scale)


@pytest.mark.parametrize("numbers", [MANY, 24.0])
def test_pooled_moments_are_those_of_all(numbers: float) -> None:
    parts = rows(30), rows(60, seed=1)
    a, b = (fitted(part, numbers) for part in parts)
    both = pooled(a, b, numbers)
    between = a.mean - b.mean
    expected = covariance(a) / 3 + 2 / 3 * covariance(b) + 2 / 9 * torch.outer(between, between)
    assert torch.allclose(both.mean, torch.cat(parts).mean(dim=0))
    assert torch.allclose(covariance(both).diagonal(), expected.diagonal())
    assert numbers == 24.0 or torch.allclose(covariance(both), expected)
    assert both.count == 90


@pytest.mark.parametrize("x", [torch.ones(9, 4), torch.zeros(1, 4)])
def test_what_never_varied_has_a_density(x: torch.Tensor) -> None:
    found = fitted(x.double(), MANY).log_density(torch.cat([x[:1], x[:1] + 1]).double())
    assert found.isfinite().all()
    assert found[0] > found[1]


def test_a_mixture_is_weighed_by_its_samples() -> None:
    a, b = fitted(rows(30), MANY, 0), fitted(rows(90, seed=1), MANY, 1)
    x = rows(4, seed=2)
    expected = (0.25 * a.log_density(x).exp() + 0.75 * b.log_density(x).exp()).log()
    assert torch.allclose(mixture([a, b], x), expected)


@pytest.mark.parametrize("numbers", [MANY, 25.0])
def test_a_module_of_all_tasks_gives_their_mixtures(numbers: float) -> None:
    """Also of classes with fewer samples than others have ranks."""
    sizes = [[90], [40, 3], [2, 30, 50]]
    tasks = [
        [fitted(rows(n, seed=7 * i + n), numbers, i) for i, n in enumerate(own)] for own in sizes
    ]
    x = rows(6, seed=2)
    found = GaussiansModule(tasks, lambda x: x)(x, torch.zeros(3, 6, 2, dtype=torch.float64))
    expected = torch.stack([mixture(own, x) for own in tasks])
    assert torch.allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("batch", [3, 7, 50])
def test_of_too_many_samples_every_second_is_taken(monkeypatch, batch: int) -> None:
    x = torch.arange(50.0, dtype=torch.float64)[:, None]
    pairs = list(zip(torch.split(x, batch), torch.split(x, batch), strict=True))
    monkeypatch.setattr(inputs, "_ENTRIES", 20)
    found, same = inputs.rows_of(pairs)
    assert found.squeeze(1).tolist() == list(range(0, 50, 4))
    assert torch.equal(found, same)
