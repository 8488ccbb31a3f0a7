"""Sizes that a stored configuration claims, held against its weights before anything is made."""

from __future__ import annotations

import math
from itertools import pairwise

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.config_sections import HypernetConfig

_SMALL = 10**7  # weights that any machine has room for
_MOST_COMPRESSED = 100  # weights that one stored value may stand for


def check_claimed_sizes(config: ExperimentConfig, values: int) -> None:
    """Refuse networks that are far larger than what is stored of them.

    Args:
        config: what the run folder says.
        values: number of values in the file of weights.

    Raises:
        ValueError: they are.
    """
    pixels = math.prod(BENCHMARKS[config.benchmark].sample_shape(config.data.padding))
    vae = config.vae
    networks = (
        (pixels, *config.target.hidden),
        (pixels, *vae.encoder, vae.latent),
        (vae.latent, *vae.decoder, pixels),
        _widths(config.hypernet),
        _widths(config.vae_hypernet),
    )
    claimed = max(sum(n_in * n_out for n_in, n_out in pairwise(each)) for each in networks)
    if claimed > max(_SMALL, _MOST_COMPRESSED * values):
        raise ValueError(f"a network of {claimed:,} weights for {values:,} stored values")


def _widths(settings: HypernetConfig) -> tuple[int, ...]:
    inputs = settings.task_embedding + settings.chunk_embedding
    return inputs, *settings.hidden, settings.chunk or 1
