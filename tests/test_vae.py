"""Bounds on the likelihood: numbers worked out by hand, and a model whose likelihood is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.regularization.step import HypernetTrainer
from hypermnesia.seeding import Generators
from hypermnesia.vae import (
    BoundSettings,
    Vae,
    VaeOutput,
    VaeSettings,
    bernoulli_log_likelihood,
    bound,
    build_vae,
    draw_noise,
    elbo,
    gaussian_log_likelihood,
    importance_weighted_bound,
    kl_to_prior,
    pixel_means,
    vae_loss,
)

SMALL = VaeSettings((7,), (5,), latent=3)


def test_divergence_by_hand() -> None:
    """KL(N(m, s²) || N(0, 1)) = (m² + s² - log s² - 1) / 2, summed over two latents.

    m = 1, s² = 4: (1 + 4 - log 4 - 1) / 2 = 2 - log 2; m = -2, s² = 1: 4 / 2 = 2.
    """
    mean, log_variance = torch.tensor([[1.0, -2.0]]), torch.tensor([[math.log(4.0), 0.0]])
    assert kl_to_prior(mean, log_variance).tolist() == pytest.approx([4 - math.log(2)])
    assert kl_to_prior(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0.0, 0.0]


def test_likelihoods_by_hand() -> None:
    """Logits 0 and log 3 are p = 1/2 and 3/4; x = (1, 0): log 1/2 + log 1/4 = -3 log 2.

    A grey pixel, x = 1/2 at p = 3/4: (log 3/4 + log 1/4) / 2 = log 3 / 2 - 2 log 2.
    """
    logits = torch.tensor([[0.0, math.log(3.0)]])
    got = bernoulli_log_likelihood(torch.tensor([[1.0, 0.0]]), logits)
    assert got.tolist() == pytest.approx([-3 * math.log(2)])
    got = bernoulli_log_likelihood(torch.tensor([[0.5]]), logits[:, 1:])
    assert got.tolist() == pytest.approx([math.log(3) / 2 - 2 * math.log(2)])
    assert torch.isfinite(bernoulli_log_likelihood(torch.ones(1, 2), 1e4 * logits)).all()
    # Deviations 1 and 2: -(1 + 4) / 2 - log 2π.
    got = gaussian_log_likelihood(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2))
    assert got.tolist() == pytest.approx([-2.5 - math.log(2 * math.pi)])


def test_bound_and_loss_by_hand() -> None:
    """The bound is the mean fit of the draws less the divergence; the loss is over 2 pixels."""
    x = torch.tensor([[1.0, 0.0]])
    decoded = torch.tensor([[[0.0, math.log(3.0)]], [[0.0, 0.0]]])  # -3 log 2 and -2 log 2
    output = VaeOutput(decoded, torch.tensor([[2.0]]), torch.zeros(1, 1))  # divergence 2
    bound = -2.5 * math.log(2) - 2
    assert elbo(x, output, "bernoulli").tolist() == pytest.approx([bound])
    assert vae_loss(x, output, "bernoulli").item() == pytest.approx(-bound / 2)
    assert pixel_means(decoded, "bernoulli")[0, 0].tolist() == pytest.approx([0.5, 0.75])
    assert torch.equal(pixel_means(decoded, "gaussian"), decoded)


def linear_gaussian(exact: bool = True) -> tuple[Vae, Tensor, Tensor]:
    """x = W z + b + ε: a model whose evidence is N(b, W Wᵀ + I); samples and their log evidence.

    The columns of W are orthogonal, so the posterior's covariance (I + WᵀW)⁻¹ is diagonal, and
    its mean is (I + WᵀW)⁻¹ Wᵀ (x - b). The encoder is that posterior, or one beside it.
    """
    generator = torch.Generator().manual_seed(0)
    vae = Vae((4,), VaeSettings((), (), latent=2, likelihood="gaussian"))
    columns, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator))
    w, b = columns[:, :2] * torch.tensor([1.5, 0.5]), torch.tensor([0.3, -1.0, 0.2, 2.0])
    covariance = torch.linalg.inv(torch.eye(2) + w.T @ w)
    encode, decode = vae.encoder[0], vae.decoder[0]
    with torch.no_grad():
        decode.weight.copy_(w)
        decode.bias.copy_(b)
        encode.weight[:2] = covariance @ w.T
        encode.bias[:2] = -covariance @ w.T @ b + (0.0 if exact else 0.4)
        encode.weight[2:] = 0.0
        encode.bias[2:] = covariance.diagonal().log() + (0.0 if exact else 0.5)
    x = torch.randn(6, 4, generator=generator) * 2
    evidence = torch.distributions.MultivariateNormal(b, w @ w.T + torch.eye(4)).log_prob(x)
    return vae, x, evidence


@pytest.mark.usefixtures("double")
def test_at_the_exact_posterior_every_draw_gives_the_evidence() -> None:
    vae, x, evidence = linear_gaussian()
    noise = draw_noise(5, 6, 2, torch.Generator().manual_seed(1)).double()
    output = vae(x, noise)
    torch.testing.assert_close(
        importance_weighted_bound(x, noise, output, "gaussian"), evidence, rtol=1e-10, atol=1e-10
    )
    # The bound itself is the evidence for expected fits: noise with mean 0 and variance 1.
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    balanced = signs[:, None].expand(4, 6, 2)
    torch.testing.assert_close(
        elbo(x, vae(x, balanced), "gaussian"), evidence, rtol=1e-10, atol=1e-10
    )


@pytest.mark.usefixtures("double")
def test_more_draws_bring_the_weighted_bound_from_the_elbo_to_the_evidence() -> None:
    vae, x, evidence = linear_gaussian(exact=False)
    generator = torch.Generator().manual_seed(2)

    def bounds(draws: int, times: int) -> tuple[Tensor, Tensor]:
        noise = torch.randn(draws, 6 * times, 2, generator=generator)
        many = x.repeat(times, 1)
        output = vae(many, noise)
        weighted = importance_weighted_bound(many, noise, output, "gaussian")
        plain = elbo(many, output, "gaussian")
        return (b.view(times, 6).mean(dim=0) for b in (weighted, plain))

    one, plain = bounds(1, 4000)
    torch.testing.assert_close(one, plain, rtol=0, atol=0.05)  # equal in expectation
    few, _ = bounds(4, 4000)
    many, _ = bounds(4000, 2)
    gaps = [(evidence - bound).mean().item() for bound in (plain, few, many)]
    assert gaps[0] > 0.1
    assert gaps[0] > 1.5 * gaps[1] > 0
    assert abs(gaps[2]) < 0.01


def test_the_divergence_can_weigh_more() -> None:
    """One pixel x = 0 at the mean 0: log N = -log(2π) / 2; a divergence of 1/2 at mean 1."""
    output = VaeOutput(torch.zeros(1, 1, 1), torch.ones(1, 1), torch.zeros(1, 1))
    x, noise = torch.zeros(1, 1), torch.zeros(1, 1, 1)
    fit = -0.5 * math.log(2 * math.pi)
    for weight in (1.0, 3.0):
        settings = BoundSettings("elbo", samples=1, divergence=weight)
        got = bound(x, noise, output, "gaussian", settings)
        assert got.tolist() == pytest.approx([fit - 0.5 * weight])
    got = bound(x, noise, output, "gaussian", BoundSettings("importance", samples=1))
    assert torch.equal(got, importance_weighted_bound(x, noise, output, "gaussian"))
    with pytest.raises(ConfigError, match=r"bound\.divergence=1"):
        BoundSettings("importance", divergence=2.0)


def test_the_bounds_take_all_tasks_at_once() -> None:
    """Leading dimensions are tasks: the same figures as one at a time."""
    settings, x = SMALL, torch.rand(4, 2, 5)
    memory = memory_of(["*"], tasks=3)
    noise = draw_noise(6, 4, 3, torch.Generator().manual_seed(0))
    weights = torch.stack([memory.weights(task) for task in range(3)])
    together = memory.target.each(
        weights, (x, noise), layout=memory.layouts[0], buffers=memory.buffers
    )
    assert together.decoded.shape == (3, 6, 4, 10)
    for task in range(3):
        alone = memory.run(task, (x, noise), training=False)
        for ours, theirs in (
            (elbo(x, together, settings.likelihood), elbo(x, alone, settings.likelihood)),
            (
                importance_weighted_bound(x, noise, together, settings.likelihood),
                importance_weighted_bound(x, noise, alone, settings.likelihood),
            ),
        ):
            torch.testing.assert_close(ours[task], theirs)


def memory_of(generated: list[str], tasks: int) -> WeightMemory:
    vae = build_vae(SMALL, (2, 5), Generators(0))
    sizes = HypernetSettings((12,), 6, 6, chunk=60)
    memory = WeightMemory(vae, sizes, generated=generated, head=None, device=torch.device("cpu"))
    for _ in range(tasks):
        memory.add_task(10, Generators(0))
    return memory


def train_task(memory: WeightMemory, trainer: HypernetTrainer, x: Tensor, generators) -> None:
    memory.add_task(10, generators)
    trainer.begin_task(120)
    task = memory.tasks - 1
    for _ in range(120):
        noise = draw_noise(1, len(x), 3, generators["noise"])

        def loss(noise: Tensor = noise) -> Tensor:
            return vae_loss(x, memory.run(task, (x, noise), training=True), "bernoulli")

        trainer.step(loss)
    trainer.end_task()


@pytest.mark.parametrize("generated", [["*"], ["decoder.*"]])
def test_a_whole_vae_or_its_decoder_is_a_target(generated) -> None:
    """Two patterns are two tasks: the second is learned, the first kept."""
    memory, adam, generators = memory_of(generated, 0), OptimizerSettings(lr=0.01), Generators(0)
    trainer = HypernetTrainer(
        memory,
        regularizer=RegularizerSettings(beta=1.0),
        optimizer=adam,
        embedding_optimizer=adam,
        generators=generators,
        train_shared=True,
    )
    pattern = (torch.arange(10) % 2).float().expand(16, 10)
    data = [pattern, 1 - pattern]
    train_task(memory, trainer, data[0], generators)
    shared = [p.detach().clone() for p in memory.target.shared.values()]
    train_task(memory, trainer, data[1], generators)
    assert len(shared) == (0 if generated == ["*"] else 4)
    for now, then in zip(memory.target.shared.values(), shared, strict=True):
        assert not torch.equal(now, then)
    noise = draw_noise(1, 16, 3, generators["noise"])
    for task, x in enumerate(data):
        own, other = (
            elbo(y, memory.run(task, (y, noise), training=False), "bernoulli").mean()
            for y in (x, data[1 - task])
        )
        assert own > -2
        assert other < own - 5


def test_a_bound_takes_one_draw_or_more():
    with pytest.raises(ConfigError, match=r"bound.samples must be 1 or more; got 0"):
        BoundSettings(samples=0)
