"""An autoencoder that knows where a task's inputs lie."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hypermnesia.vae import Vae, VaeOutput, VaeSettings


class CentredVae(Vae):
    """A `Vae` that starts where the inputs of its task lie, with their spread.

    Its encoder sees inputs in terms of `shift` and `scale`, and what its decoder gives is meant in
    these terms. They are buffers, so that each task has its own. Likelihoods are those of the
    inputs either way, and can be compared between tasks.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, sample_shape: Sequence[int], settings: VaeSettings) -> None:
        super().__init__(sample_shape, settings)
        self.register_buffer("shift", torch.zeros(self.pixels))
        self.register_buffer("scale", torch.ones(self.pixels))

    def forward(self, x: Tensor, noise: Tensor) -> VaeOutput:
        """As of `Vae`, for (batch, *sample) inputs and (samples, batch, latent) noise."""
        output = super().forward((x.flatten(1) - self.shift) / self.scale, noise)
        return output._replace(decoded=output.decoded * self.scale + self.shift)
