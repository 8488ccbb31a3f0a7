"""Which networks must be asked exactly, after all gave a first answer in a cheaper number format.

How far first answers are off depends on the format and, as much, on the networks: so it is measured
in every call, on a few of its samples. An answer changes only where the errors of two networks, or
of two scores, are several times as large, and against each other. `python -m benchmarks.inference
--screen bf16` prints the errors and holds all answers against those of float32.

Which task's network is to answer a sample, when nobody says: by how sure each network is.

Entropy: von Oswald et al. 2020 (arXiv 1906.00695), section 2, "task inference through predictive
uncertainty". Its gradient: Wortsman et al. 2020, "Supermasks in superposition" (arXiv 2006.14769),
section 3.2; there on masks, here on generated weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.func import jvp, vmap

from hypermnesia.compute import Screen
from hypermnesia.errors import ConfigError
from hypermnesia.settings import Flag, Positive


@dataclass(frozen=True)
class EntropySettings:
    """How the surest network is found.

    Attributes:
        criterion: `entropy`, that of each task's network; or `entropy-gradient`, how fast the
            entropy of the mixture of all of them falls as a task's share in it grows.
        temperature: divides the scores; above 1 it tells apart networks that are all but certain.
            With two outputs it changes no choice but between networks so sure that both have an
            entropy of 0 in float32: of two networks the one whose scores are further apart is the
            surer at every temperature.
        calibrated: measure each network's scores in terms of the `spread` that they have on
            training samples of the class that it would answer. For `entropy`.
        screen: number format in which all networks are asked first, and the few that may be the
            surest once more in float32. Faster; `in_doubt` says why task and class come
            out as in float32. Scores without a doubt stay those of the first answer. None
            asks once, in float32. For `entropy`.

    Raises:
        ConfigError: a temperature that is not above zero; a calibration of mixed networks, which
            have no samples of their own, or a screen of them.
    """

    criterion: Literal["entropy", "entropy-gradient"] = "entropy"
    temperature: Positive = 1.0
    calibrated: Flag = False
    screen: Screen | None = None

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError("inference.temperature must be above zero", got=self.temperature)
        for name, unset in (("calibrated", False), ("screen", None)):
            if getattr(self, name) != unset and self.criterion != "entropy":
                raise ConfigError(
                    f"inference.{name} is for inference.criterion=entropy",
                    got=self.criterion,
                    cure=f"set inference.{name}={json.dumps(unset)}",
                )


def entropy(scores: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch"]:
    """Entropy, in nats, of the softmax of `scores`; a column of -inf counts for nothing.

    From the log-softmax, so that certainty (p = 0 elsewhere) gives 0 and finite gradients.
    """
    log_p = scores.movedim(-1, 0).log_softmax(dim=0)  # torch is slow along a short last axis
    p = log_p.exp()
    return -(p * log_p.masked_fill(p == 0, 0.0)).sum(dim=0)


def spread(scores: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch"]:
    """How far the largest score is above the mean of all; a column of -inf counts for nothing."""
    known = scores.masked_fill(scores == -torch.inf, torch.nan)
    return scores.amax(dim=-1) - known.nanmean(dim=-1)


def mean_spreads(
    scores: Float[Tensor, "batch outputs"], labels: Int[Tensor, " batch"]
) -> Float[Tensor, " outputs"]:
    """The mean `spread` of each class's samples; of all samples, for a class without any.

    Args:
        scores: of a task's own network on its own samples.
        labels: their classes.
    """
    spreads = spread(scores)
    of_class = torch.zeros_like(scores[0]).index_add(0, labels, spreads)
    counts = torch.bincount(labels, minlength=scores.shape[1])
    means = torch.where(counts > 0, of_class / counts.clamp(min=1), spreads.mean())
    return means.clamp(min=torch.finfo(means.dtype).tiny)  # who divides by it may


def spreads_of(
    classes: Int[Tensor, "tasks batch 1"], spreads: Sequence[Float[Tensor, " own"]], outputs: int
) -> Float[Tensor, "tasks batch 1"]:
    """The mean spread of the class that each network answers.

    Args:
        classes: the answers.
        spreads: for each class of a task; of a task that has none yet they are 1.
        outputs: of the widest head.
    """
    table = spreads[0].new_ones(len(classes), outputs)
    for task, own in enumerate(spreads):
        table[task, : len(own)] = own
    return table.gather(1, classes.squeeze(2)).unsqueeze(2)


def entropy_slopes(
    network: Callable[[Tensor], Tensor],
    mixture: Float[Tensor, " N"],
    weights: Float[Tensor, "tasks N"],
    temperature: float = 1.0,
) -> Float[Tensor, "tasks batch"]:
    """dH/dα_t of every sample, for the network whose weights are Σ α_t W_t.

    The derivative along W_t is a forward-mode product. A row of products gives it for all samples
    and tasks at once, where a gradient would have to be taken for each sample.

    Args:
        network: (N,) weights -> (batch, outputs) scores of the samples in question.
        mixture: Σ α_t W_t at the α where the derivative is wanted.
        weights: W_t of each of the tasks in question.
        temperature: divides the scores.

    Returns:
        The lowest belongs to the task whose greater share would make the network surest.
    """

    def uncertainty(mixed: Tensor) -> Tensor:
        return entropy(network(mixed) / temperature)

    def slope(direction: Tensor) -> Tensor:
        derivative: Tensor = jvp(uncertainty, (mixture,), (direction,))[1]
        return derivative

    slopes: Tensor = vmap(slope)(weights)
    return slopes


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
