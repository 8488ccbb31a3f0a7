"""β without tuning: a bound on how far earlier tasks drift.

    min L(θ, e_T)  subject to  R(θ) ≤ ε

by dual ascent on the multiplier β: log β rises by 0.05 log(R/ε) at an iteration, at most by 0.1
(compare GECO, Rezende and Viola 2018, arXiv 1810.00597). R is the output regulariser, the mean
squared change of an earlier task's weights. What weights may change without changing answers
differs from model to model, so ε follows what matters to a user: now and then the networks of
earlier tasks answer a mini-batch as they are and as they were, and ε moves until the share of
changed answers is `RegularizerSettings.drift`. As that share grows with the change of the weights,
the square root of R, ε moves by the square of what the share is off.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EVERY = 25
"""Iterations between two looks at the answers."""

_RATE, _MOST = 0.05, 0.1
_FIRST, _LEAST, _LARGEST = 0.1, 1e-6, 1e9
_START = 1e-4  # of ε, as a share of the mean square of the weights


class Multiplier:
    """β, which follows R, and ε, which follows the share of changed answers.

    `drift` bounds that share; `size` is the mean square of an earlier task's weights, their sum.
    """

    def __init__(self, drift: float, size: float) -> None:
        self.allowed, self.bound = drift, _START * size
        self.beta, self.changed = _FIRST, 0.0

    def follow(self, distance: float) -> None:
        """Take the next β, after an iteration with this R."""
        change = _RATE * math.log(max(distance, 1e-30) / self.bound)
        change = min(max(change, -_MOST), _MOST)
        self.beta = min(max(self.beta * math.exp(change), _LEAST), _LARGEST)

    def look(self, changed: float) -> None:
        """Take the next ε, given the share of answers that have changed."""
        self.changed = changed
        self.bound *= min(max((self.allowed / max(changed, 1e-9)) ** 2, 0.5), 1.5)

    @property
    def holds(self) -> bool:
        """Whether the answers were within the bound, but for a half by which they swing."""
        return self.changed <= 1.5 * self.allowed

    def state_dict(self) -> dict[str, float]:
        """Return what changes."""
        return {"beta": self.beta, "bound": self.bound, "changed": self.changed}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Put it where `state_dict` found the other."""
        self.beta, self.bound, self.changed = state["beta"], state["bound"], state["changed"]


def changed(now: Tensor, then: Tensor, *, classes: bool) -> float:
    """Return the share of (batch, outputs) answers that differ; of values, of their variance."""
    if classes:
        return float((now.argmax(dim=-1) != then.argmax(dim=-1)).float().mean())
    return float((now - then).square().mean() / then.var(dim=0).mean().clamp(min=1e-12))


def share_changed(pairs: list[tuple[Tensor, Tensor]], *, classes: bool) -> float:
    """Return the mean of `changed` over networks, answers as they are and as they were."""
    return float(torch.tensor([changed(*pair, classes=classes) for pair in pairs]).mean())
