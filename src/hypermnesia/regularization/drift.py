"""β without tuning: a bound on how far earlier tasks drift.

    min L(θ, e_T)  subject to  R(θ) ≤ ε

by dual ascent on the multiplier β: log β rises by 0.05 log(R/ε) at an iteration, at most by 0.1
(compare GECO, Rezende and Viola 2018, arXiv 1810.00597). R is the output regulariser, the mean
squared change of an earlier task's weights; ε is a share, `RegularizerSettings.drift`, of the
squares of the smallest such weights.
"""

from __future__ import annotations

import math

FIRST = 0.1
"""β before it has followed anything."""

_RATE, _MOST = 0.05, 0.1
_LEAST, _LARGEST = 1e-6, 1e9


OF_CHANGES = 1.0
"""The same, of changes of a pretrained model's weights: its fits are short."""


class Multiplier:
    """β, which follows R from its `first` value; `bound` is ε."""

    def __init__(self, bound: float, first: float = FIRST) -> None:
        self.bound, self.beta, self.distance = bound, first, 0.0

    def follow(self, distance: float) -> None:
        """Take the next β, after an iteration with this R."""
        self.distance = distance
        change = _RATE * math.log(max(distance, 1e-30) / self.bound)
        change = min(max(change, -_MOST), _MOST)
        self.beta = min(max(self.beta * math.exp(change), _LEAST), _LARGEST)

    @property
    def holds(self) -> bool:
        """Whether R was within the bound, but for a fifth by which it swings."""
        return self.distance <= 1.2 * self.bound
