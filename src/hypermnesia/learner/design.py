"""From a model and a first task to the sizes and views of everything that is learned."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from hypermnesia.errors import DataError
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.learner.moments import Moments
from hypermnesia.learner.sizes import autoencoder_sizes
from hypermnesia.learner.targets import Problem
from hypermnesia.vae import Vae, VaeSettings

_LARGEST = 20_000  # entries of a sample that fully connected layers can do with
_NOISE = 0.3  # of an entry's deviation is what an autoencoder need not explain


@dataclass(frozen=True)
class AutoencoderDesign:
    """The autoencoders that tell tasks apart, and what they see of inputs.

    Attributes:
        sample_shape: of every input.
        vae: their sizes, and whether inputs are taken for intensities in [0, 1].
        hypernet: sizes of the hypernetwork that makes them.
        shift: (entries of a sample,) subtracted from a sample; empty for intensities.
        scale: (entries of a sample,) what a sample is divided by then, the same for all tasks: it
            is the unit of what need not be explained.
    """

    sample_shape: tuple[int, ...]
    vae: VaeSettings
    hypernet: HypernetSettings
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    @property
    def intensities(self) -> bool:
        """Whether inputs are in [0, 1]."""
        return self.vae.likelihood == "bernoulli"

    def view(self, x: Tensor) -> Tensor:
        """(batch, *sample) inputs as the autoencoders see them."""
        if self.intensities:
            return x.clamp(0, 1)
        shift, scale = (x.new_tensor(values) for values in (self.shift, self.scale))
        return ((x.flatten(1) - shift) / scale).view_as(x)

    def centre(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        """Buffers of a new task's autoencoder; none for intensities.

        Args:
            batches: (batch, *sample) inputs of the task.

        Raises:
            DataError: inputs of another kind than the first task's.
        """
        seen = Moments(batches)
        if seen.shape != self.sample_shape:
            raise DataError(
                "likelihoods compare inputs of one shape",
                got=f"{seen.shape}, where they had {self.sample_shape}",
                cure="bring them to one shape, or use infer_task='entropy'",
            )
        if not self.intensities:
            shift, scale = map(torch.tensor, (self.shift, self.scale))
            return {"shift": (seen.mean - shift) / scale, "scale": seen.deviation / scale}
        if not seen.intensities:
            raise DataError(
                "inputs of the first task were in [0, 1], so all must be",
                got=f"from {seen.least:.3g} to {seen.most:.3g}",
                cure="scale every task's inputs alike",
            )
        return {}


@dataclass(frozen=True)
class Design:
    """All that is settled by the first fit.

    Attributes:
        problem: what outputs stand for.
        hypernet: sizes of the hypernetwork that makes the model's weights.
        autoencoder: where tasks are inferred by likelihood.
    """

    problem: Problem
    hypernet: HypernetSettings
    autoencoder: AutoencoderDesign | None


def autoencoder_design(batches: Iterable[Tensor], compression: float | None) -> AutoencoderDesign:
    """Autoencoders for inputs like these, those of the first task.

    Args:
        batches: (batch, *sample) inputs.
        compression: of the autoencoders' hypernetwork, see `hypernet_sizes`.

    Raises:
        DataError: inputs that no autoencoder here can learn.
    """
    seen = Moments(batches)
    entries = math.prod(seen.shape)
    if entries > _LARGEST:
        raise DataError(
            f"likelihoods are for inputs of at most {_LARGEST} entries",
            got=f"{entries}",
            cure="use infer_task='entropy'",
        )
    width = min(max(entries, 32), 256)
    vae = VaeSettings(
        encoder=(width,),
        decoder=(width,),
        latent=min(max(entries // 4, 2), 16),
        likelihood="bernoulli" if seen.intensities else "gaussian",
    )
    with torch.device("meta"):  # to be counted only
        weights = sum(p.numel() for p in Vae(seen.shape, vae).parameters())
    hypernet = autoencoder_sizes(weights, compression)
    if seen.intensities:
        return AutoencoderDesign(seen.shape, vae, hypernet)
    shift, scale = seen.mean.tolist(), (_NOISE * seen.deviation).tolist()
    return AutoencoderDesign(seen.shape, vae, hypernet, tuple(shift), tuple(scale))
