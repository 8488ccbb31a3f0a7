"""Sizes of a hypernetwork from the number of weights that it is to make."""

from __future__ import annotations

import math
from dataclasses import replace

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.network import HypernetSettings

SMALLEST = 4000
"""Learned values of a hypernetwork for the smallest models, for which fewer learn too little."""

_WIDTHS = (32, 24, 16, 12, 8)
_OVERHEAD = 1 / 8  # of all values, in what all chunks share


def autoencoder_sizes(weights: int, compression: float | None = None) -> HypernetSettings:
    """As of `hypernet_sizes`, in the form in which it learns autoencoders.

    One hidden layer, and new embeddings at the mean: chosen on Split MNIST (docs/results.md).
    """
    sizes = hypernet_sizes(weights, compression)
    return replace(sizes, hidden=sizes.hidden[:1], activation="relu", embedding_start="mean")


def hypernet_sizes(weights: int, compression: float | None = None) -> HypernetSettings:
    """A chunked hypernetwork for a target network of so many weights.

    Args:
        weights: |W|.
        compression: at most this times |W| learned values, the first task's embedding among them;
            by default as many as |W|, or 4,000 if that is more.

    Raises:
        ConfigError: no hypernetwork is so small.
    """
    budget = max(weights, SMALLEST) if compression is None else int(compression * weights)
    for width in _WIDTHS:
        chunk = _chunk(weights, budget, width)
        if chunk and (_shared(width) <= _OVERHEAD * budget or width == _WIDTHS[-1]):
            return _settings(width, min(chunk, weights))
    raise ConfigError(
        "a hypernetwork must be large enough to make the model's weights",
        got=f"compression={compression} of {weights} weights",
        cure="choose a larger compression, or leave it out",
    )


def _settings(width: int, chunk: int) -> HypernetSettings:
    return HypernetSettings(
        hidden=(width, width),
        task_embedding=width,
        chunk_embedding=width,
        activation="elu",
        init="hyperfan",
        plan="even",
        chunk=chunk,
    )


def _shared(width: int) -> int:
    """Values of the hidden layers and a task's embedding."""
    return (2 * width + 1) * width + (width + 1) * width + width


def _chunk(weights: int, budget: int, width: int) -> int:
    """The largest D with D (k + 1) + k ceil(N / D) within what the hidden layers leave; or 0."""
    left = budget - _shared(width) - width  # one chunk more than N / D
    root = left**2 - 4 * width * (width + 1) * weights
    return int((left + math.sqrt(root)) / (2 * (width + 1))) if left > 0 and root >= 0 else 0
