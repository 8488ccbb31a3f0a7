"""Variational autoencoders: networks, bounds on the likelihood, and the loss.

Kingma and Welling 2014 (arXiv 1312.6114); the importance-weighted bound is Burda et al. 2016
(arXiv 1509.00519), equation 8. The approximate posterior is a Gaussian with a diagonal covariance,
the prior N(0, I). Everything is in nats, summed over pixels and latents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.network import ACTIVATIONS
from hypermnesia.seeding import Generators
from hypermnesia.settings import Integer, Name, Number, Width, named_in

Likelihood = Literal["bernoulli", "gaussian"]  #: of a pixel, given the latents
Noise = Float[Tensor, "samples batch latent"]  #: standard normal


@dataclass(frozen=True)
class VaeSettings:
    """Sizes of a variational autoencoder.

    Attributes:
        encoder, decoder: widths of the hidden layers.
        latent: number of latents.
        activation: a name in `ACTIVATIONS`.
        likelihood: of a pixel given the latents: `bernoulli`, whose logits the decoder gives
            (pixels in [0, 1]), or `gaussian`, whose means it gives, with variance 1.
    """

    encoder: tuple[Width, ...] = (400, 400)
    decoder: tuple[Width, ...] = (400, 400)
    latent: Width = 100
    activation: Annotated[Name, named_in(ACTIVATIONS)] = "relu"
    likelihood: Likelihood = "bernoulli"


@dataclass(frozen=True)
class BoundSettings:
    """Which lower bound on log p(x); raises `ConfigError` for settings that do not fit together.

    Attributes:
        kind: `elbo`, or the importance-weighted bound, which more draws tighten.
        samples: draws of the latents for each input.
        divergence: weight of the elbo's divergence from the prior. At 1 or more it is still a
            bound; above 1 it trusts less what needs unlikely latents.
    """

    kind: Literal["elbo", "importance"] = "elbo"
    samples: Annotated[Integer, Field(ge=1, le=10**6)] = 10
    divergence: Annotated[Number, Field(ge=1, le=1e9)] = 1.0

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError("bound.samples must be 1 or more", got=self.samples)
        if self.kind == "importance" and self.divergence != 1:
            rule = "bound.divergence weighs a term that bound.kind=importance does not have"
            hint = "set bound.divergence=1, or bound.kind=elbo"
            raise ConfigError(rule, got=self.divergence, hint=hint)


class VaeOutput(NamedTuple):
    """What the decoder gives for each draw of the latents; the approximate posterior."""

    decoded: Float[Tensor, "*tasks samples batch pixels"]
    mean: Float[Tensor, "*tasks batch latent"]
    log_variance: Float[Tensor, "*tasks batch latent"]


EDGE = 0.03
"""How far intensities lie outside their box, as a share of it: one standard deviation.

Tried on scikit-learn's digits, a second task's scaled, moved or noisy: from 0.05 on, noise about
the first one's black counted for less than it should.
"""


class BoxedOutput(NamedTuple):
    """What a `VaeOutput` is, for intensities that were brought from a box to [0, 1].

    `inside` are these, cut off at the edges; `outside` is the rest of the log density of inputs:
    -Σ (how far outside / `EDGE`)² / 2, and -Σ log(width of the box), for the change of units.
    """

    decoded: Float[Tensor, "*tasks samples batch pixels"]
    mean: Float[Tensor, "*tasks batch latent"]
    log_variance: Float[Tensor, "*tasks batch latent"]
    inside: Float[Tensor, "*tasks batch pixels"]
    outside: Float[Tensor, "*tasks batch"]


class Vae(nn.Module):
    """Two multilayer perceptrons; an ordinary module, and so a target network."""

    def __init__(self, sample_shape: Sequence[int], settings: VaeSettings) -> None:
        super().__init__()
        self.sample_shape, self.settings = tuple(sample_shape), settings
        pixels, latent = self.pixels, settings.latent
        self.encoder = _layers((pixels, *settings.encoder, 2 * latent), settings.activation)
        self.decoder = _layers((latent, *settings.decoder, pixels), settings.activation)

    @property
    def pixels(self) -> int:
        """Number of entries of a sample, and of outputs of the decoder."""
        return math.prod(self.sample_shape)

    def forward(self, x: Tensor, noise: Noise) -> VaeOutput:
        """Decode `samples` draws of the latents, from N(0, 1) `noise`, of (batch, *sample) inputs.

        Results have the number format of `noise`, whatever that of the products is.
        """
        mean, log_variance = self.encoder(x.flatten(1)).to(noise.dtype).chunk(2, dim=-1)
        latents = mean + (log_variance / 2).exp() * noise
        decoded = self.decoder(latents.flatten(0, 1)).to(noise.dtype)
        return VaeOutput(decoded.unflatten(0, noise.shape[:2]), mean, log_variance)


def _layers(widths: Sequence[int], activation: str) -> nn.Sequential:
    """Linear layers with activations between them."""
    pairs = [(nn.Linear(*sizes), ACTIVATIONS[activation]()) for sizes in pairwise(widths)]
    return nn.Sequential(*[layer for pair in pairs for layer in pair][:-1])


def build_vae(settings: VaeSettings, sample_shape: Sequence[int], generators: Generators) -> Vae:
    """A fresh autoencoder for samples of a shape, drawn from the generator called `vae`."""
    with generators.as_global("vae"):
        return Vae(sample_shape, settings)


def draw_noise(samples: int, batch: int, latent: int, generator: torch.Generator) -> Tensor:
    """(samples, batch, latent) noise for `Vae`, on the CPU."""
    return torch.randn(samples, batch, latent, generator=generator)


def bernoulli_log_likelihood(
    x: Float[Tensor, "batch pixels"], logits: Float[Tensor, "*more batch pixels"]
) -> Float[Tensor, "*more batch"]:
    """Σ x log p + (1 - x) log(1 - p) with p = sigmoid(logits): log p(x) for binary pixels."""
    return (x * logits - F.softplus(logits)).sum(dim=-1)


def gaussian_log_likelihood(
    x: Float[Tensor, "batch pixels"], means: Float[Tensor, "*more batch pixels"]
) -> Float[Tensor, "*more batch"]:
    """The log density of N(means, I) at x."""
    return -0.5 * ((x - means).square().sum(dim=-1) + x.shape[-1] * math.log(2 * math.pi))


_LOG_LIKELIHOODS = {"bernoulli": bernoulli_log_likelihood, "gaussian": gaussian_log_likelihood}


def pixel_means(decoded: Tensor, likelihood: Likelihood) -> Tensor:
    """The expected pixels, from the (..., pixels) that a decoder gives."""
    return decoded.sigmoid() if likelihood == "bernoulli" else decoded


def kl_to_prior(
    mean: Float[Tensor, "*more latent"], log_variance: Float[Tensor, "*more latent"]
) -> Float[Tensor, "*more"]:
    """KL(N(mean, diag exp(log_variance)) || N(0, I)), in closed form."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=-1)


def log_likelihood(
    x: Tensor, output: VaeOutput | BoxedOutput, likelihood: Likelihood
) -> Float[Tensor, "*tasks samples batch"]:
    """Log p(x | z) of (batch, *sample) inputs, for each draw that gave `output`."""
    if isinstance(output, BoxedOutput):
        inside = _LOG_LIKELIHOODS[likelihood](output.inside.unsqueeze(-3), output.decoded)
        return inside + output.outside.unsqueeze(-2)
    return _LOG_LIKELIHOODS[likelihood](x.flatten(1), output.decoded)


def elbo(
    x: Tensor,
    output: VaeOutput | BoxedOutput,
    likelihood: Likelihood,
    divergence: float = 1.0,
) -> Float[Tensor, "*tasks batch"]:
    """E_q log p(x | z) - divergence · KL(q(z | x) || p(z)), averaged over the draws.

    A lower bound on log p(x) of each of the (batch, *sample) inputs that gave `output`.
    """
    fit = log_likelihood(x, output, likelihood)
    return fit.mean(dim=-2) - divergence * kl_to_prior(output.mean, output.log_variance)


def importance_weighted_bound(
    x: Tensor, noise: Noise, output: VaeOutput | BoxedOutput, likelihood: Likelihood
) -> Float[Tensor, "*tasks batch"]:
    """The log of 1/K Σ_k p(x, z_k) / q(z_k | x): tighter with every draw, log p(x) in the end.

    `output` is that of a `Vae` for (batch, *sample) inputs and `noise`.
    """
    log_variance = output.log_variance.unsqueeze(-3)
    latents = output.mean.unsqueeze(-3) + (log_variance / 2).exp() * noise
    # log p(z) - log q(z | x); (z - mean) / deviation is the noise.
    ratio = 0.5 * (noise.square() + log_variance - latents.square()).sum(dim=-1)
    weights = log_likelihood(x, output, likelihood) + ratio
    return weights.logsumexp(dim=-2) - math.log(len(noise))


def bound(
    x: Tensor,
    noise: Noise,
    output: VaeOutput | BoxedOutput,
    likelihood: Likelihood,
    settings: BoundSettings,
) -> Float[Tensor, "*tasks batch"]:
    """The bound of (batch, *sample) inputs that `settings` name."""
    if settings.kind == "importance":
        return importance_weighted_bound(x, noise, output, likelihood)
    return elbo(x, output, likelihood, settings.divergence)


def vae_loss(
    x: Tensor, output: VaeOutput | BoxedOutput, likelihood: Likelihood
) -> Float[Tensor, "*tasks"]:
    """The mean over samples and pixels of the negative `elbo`, of (batch, *sample) inputs.

    For the Bernoulli likelihood: binary cross-entropy averaged over pixels, plus the divergence
    summed over latents and divided by the number of pixels (von Oswald et al. 2020, public code).
    """
    return -elbo(x, output, likelihood).mean(dim=-1) / output.decoded.shape[-1]


class CentredVae(Vae):
    """A `Vae` that starts where the inputs of its task lie, with their spread.

    Encoder and decoder work in terms of `shift` and `scale`, buffers, of which each task has its
    own. Likelihoods are those of the inputs either way, and can be compared between tasks.
    Intensities are those of the box from `shift` to `shift` + `scale`, at first [0, 1].
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, sample_shape: Sequence[int], settings: VaeSettings) -> None:
        super().__init__(sample_shape, settings)
        self.register_buffer("shift", torch.zeros(self.pixels))
        self.register_buffer("scale", torch.ones(self.pixels))

    def forward(self, x: Tensor, noise: Tensor) -> VaeOutput | BoxedOutput:  # type: ignore[override]
        """As of `Vae`, for (batch, *sample) inputs and (samples, batch, latent) noise."""
        seen = (x.flatten(1) - self.shift) / self.scale
        if self.settings.likelihood == "gaussian":
            output = super().forward(seen, noise)
            return output._replace(decoded=output.decoded * self.scale + self.shift)
        inside = seen.clamp(0, 1)
        outside = -0.5 * ((seen - inside) / EDGE).square().sum(dim=-1) - self.scale.log().sum()
        return BoxedOutput(*super().forward(inside, noise), inside, outside)
