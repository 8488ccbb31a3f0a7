"""Which networks must be asked exactly, after all gave a first answer in a cheaper number format.

How far first answers are off depends on the format and, as much, on the networks: so it is measured
in every call, on a few of its samples. An answer changes only where the errors of two networks, or
of two scores, are several times as large, and against each other. `python -m benchmarks.inference
--screen int8` prints the errors and holds all answers against those of float32.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hypermnesia.inference import spread

PROBES = 16
"""Samples of a call that are answered exactly, too; with ten outputs, 160 scores a network."""

_MARGIN = 5.0
"""Root mean square errors that a score may be off."""


def probes(samples: int, device: torch.device) -> Int[Tensor, " probes"]:
    """Numbers of the samples to answer exactly, from the first to the last; all, where few."""
    return torch.linspace(0, samples - 1, min(PROBES, samples), device=device).long()


def rough_error(
    rough: Float[Tensor, "tasks batch outputs"], exact: Float[Tensor, "tasks batch outputs"]
) -> Float[Tensor, ""]:
    """Root mean square error of `rough` scores, as a share of the sample's widest `spread`."""
    errors = (rough - exact) / _widest(exact)[:, None]
    return errors.square().nanmean().sqrt()  # no number beyond a network's outputs


def in_doubt(
    scores: Float[Tensor, "tasks batch outputs"],
    error: Float[Tensor, ""],
    units: Float[Tensor, "#tasks #batch 1"],
    other_units: Float[Tensor, "tasks batch 1"] | None = None,
) -> Bool[Tensor, "tasks batch"]:
    """Which networks' answers must be exact for the surest, and its class, to be the right one.

    Scores are taken to be off by up to five times `error`. To first order, an entropy is then off
    by Σ |∂H/∂s_i| = Σ p_i |ln p_i + H| times as much. Doubtful are the networks that may have the
    lowest one; a single such network only if its two likeliest classes may change places.

    Args:
        scores: first answers.
        error: of these, as `rough_error` gives it.
        units: what scores are divided by before their entropy is taken.
        other_units: the same if these two classes change places; None if that is no matter.
    """
    off = _MARGIN * error * _widest(scores)
    tied = _lead(scores) <= 2 * off
    low, high = _entropy_range(scores, off, units)
    if other_units is not None:
        other_low, other_high = _entropy_range(scores, off, other_units)
        low = torch.where(tied, torch.minimum(low, other_low), low)
        high = torch.where(tied, torch.maximum(high, other_high), high)
    near = low <= high.amin(dim=0)
    return near & ((near.sum(dim=0) > 1) | tied)


def _widest(scores: Tensor) -> Tensor:
    """(batch,) the largest spread that any network's scores have."""
    return spread(scores).amax(dim=0).clamp(min=torch.finfo(scores.dtype).tiny)


def _lead(scores: Tensor) -> Tensor:
    """(tasks, batch) how far the largest score is above the next one, if any."""
    best, which = scores.max(dim=2, keepdim=True)
    return (best - scores.scatter(2, which, -torch.inf).amax(dim=2, keepdim=True)).squeeze(2)


def _entropy_range(scores: Tensor, off: Tensor, units: Tensor) -> tuple[Tensor, Tensor]:
    """(tasks, batch) lowest and highest entropy of scores / units, each score `off` by so much."""
    log_p = (scores / units).movedim(2, 0).log_softmax(dim=0)
    p, log_p = log_p.exp(), log_p.masked_fill(log_p == -torch.inf, 0.0)
    uncertain = -(p * log_p).sum(dim=0)
    moved = off / units.squeeze(2) * (p * (log_p + uncertain)).abs().sum(dim=0)
    return uncertain - moved, uncertain + moved
