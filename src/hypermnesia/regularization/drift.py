"""β without tuning: a bound on how far earlier tasks drift.

    min L(θ, e_T)  subject to  R(θ) ≤ ε

by dual ascent on the multiplier β: log β rises by 0.05 log(R/ε) at an iteration, at most by 0.1
(compare GECO, Rezende and Viola 2018, arXiv 1810.00597), from 0.1, below which it never falls: a
bound on weights alone is loose where answers follow small changes of them, as values do. R is the
output regulariser, the mean squared change of an earlier task's weights; ε is a share,
`RegularizerSettings.drift`, of the squares of the smallest such weights.
"""

from __future__ import annotations

import math

DRIFT = 1e-3
"""The share by default; less keeps short fits from learning."""

LEAST = 0.1
"""β where the bound holds by itself: the least, and the first."""

_RATE, _MOST = 0.05, 0.1
_LARGEST = 1e9

_OF_CHANGES = 1.0, 1e-6  # the first, and the least: fits of a pretrained model are short


class Multiplier:
    """β, which follows R; `bound` is ε.

    With `of_changes` R is of the changes of a pretrained model's weights.
    """

    def __init__(self, bound: float, *, of_changes: bool = False) -> None:
        self.bound, self.distance = bound, 0.0
        self.beta, self._least = _OF_CHANGES if of_changes else (LEAST, LEAST)

    def follow(self, distance: float) -> None:
        """Take the next β, after an iteration with this R."""
        self.distance = distance
        change = _RATE * math.log(max(distance, 1e-30) / self.bound)
        change = min(max(change, -_MOST), _MOST)
        self.beta = min(max(self.beta * math.exp(change), self._least), _LARGEST)

    @property
    def holds(self) -> bool:
        """Whether R was within the bound, but for a fifth by which it swings."""
        return self.distance <= 1.2 * self.bound
