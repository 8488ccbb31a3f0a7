"""Metrics of continual learning from the matrix of accuracies, and their mean over seeds.

`matrix` is always R, (T, T) in percent: R[i, j] is the accuracy on task j after learning task i,
NaN where it was not measured. T is the number of tasks, and R[T, j] below means the last row.
van de Ven, Tuytelaars, Tolias, "Three types of incremental learning", Nat. Mach. Intell. 2022;
Chaudhry et al., "Riemannian walk", ECCV 2018 (forgetting); Lopez-Paz and Ranzato, "Gradient
episodic memory", NeurIPS 2017 (backward transfer).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
"""(T, T) percent; NaN where nothing was measured."""

Counts = NDArray[np.int64]
"""(T, T) numbers of samples."""


@dataclass(frozen=True)
class Summary:
    """Mean and spread of a metric over seeds.

    Attributes:
        mean: mean of the `n` seeds that have the metric; NaN if none has.
        sem: standard error of the mean, std(ddof=1) / sqrt(n); NaN for fewer than two seeds.
    """

    mean: float
    sem: float
    n: int

    def text(self, digits: int = 2) -> str:
        """Return `mean ± sem`, or `mean` where there is no standard error."""
        spread = "" if math.isnan(self.sem) else f" ± {self.sem:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread}"


def acc(matrix: Matrix) -> float:
    """ACC = mean_j R[T, j]: percent on all tasks at the end; NaN if any was not measured."""
    return _mean(_square(matrix)[-1])


def during(matrix: Matrix) -> float:
    """During = mean_j R[j, j]: percent on each task just learned; NaN if any was not measured."""
    return _mean(np.diagonal(_square(matrix)))


def bwt(matrix: Matrix) -> float:
    """BWT = mean_{j<T} (R[T, j] - R[j, j]), points: negative if forgotten; NaN for one task.

    Example:
        >>> from hypermnesia.metrics import acc, bwt, during
        >>> matrix = [[99.0, float("nan")], [95.0, 98.0]]
        >>> during(matrix), acc(matrix), bwt(matrix)
        (98.5, 96.5, -4.0)
    """
    matrix = _square(matrix)
    return _mean((matrix[-1] - np.diagonal(matrix))[:-1])


def fwt(gains: Sequence[float] | NDArray[np.float64]) -> float:
    """FWT = mean_{j>1} (R[j - 1, j] - 100 / K_j), points, of the (T,) terms in brackets.

    What task j gains from those before it: the accuracy of its network before any of its K_j
    classes is trained, less that of guessing, which untrained networks have on average where
    classes are equally frequent. NaN if a term was not measured, and for one task.

    Example:
        >>> from hypermnesia.metrics import fwt
        >>> fwt([float("nan"), 20.0, 30.0])
        25.0
    """
    return _mean(np.asarray(gains, dtype=np.float64)[1:])


def forgetting(matrix: Matrix) -> float:
    """Forgetting = mean_{j<T} (max_i R[i, j] - R[T, j]), points; 0 or more, 0 is best.

    The maximum runs over the rows i in which task j was measured, the last one among them (some
    papers leave it out, which allows values below 0). NaN for a single task, or where R[T, j] or
    R[j, j] was not measured.
    """
    return _mean(forgetting_by_task(matrix))


def forgetting_by_task(matrix: Matrix) -> NDArray[np.float64]:
    """Return the terms of `forgetting`: (T - 1,) points, for each task but the last one."""
    matrix = _square(matrix)
    best = np.where(np.isnan(matrix), -np.inf, matrix).max(axis=0)
    measured = ~np.isnan(np.diagonal(matrix))
    return np.where(measured, best - matrix[-1], np.nan)[:-1]


def task_inference(matrix: Matrix) -> float:
    """Return ACC of task inference: percent of samples assigned to their own task."""
    return acc(matrix)


def over_seeds(values: Sequence[float]) -> Summary:
    """Return mean and standard error over seeds, leaving out seeds where the metric is NaN."""
    known = np.asarray([value for value in values if not math.isnan(value)], dtype=np.float64)
    sem = float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else math.nan
    return Summary(_mean(known), sem, len(known))


def auroc(of_these: NDArray[np.float64], of_others: NDArray[np.float64]) -> float:
    """Return how often one of the (n,) scores is above one of the (m,) others, ties as halves.

    The area under the receiver operating characteristic; NaN without scores of either kind.

    Example:
        >>> import numpy as np
        >>> from hypermnesia.metrics import auroc
        >>> auroc(np.array([0.9, 0.7]), np.array([0.8, 0.1]))
        0.75
    """
    others = np.sort(of_others)
    if not len(others) or not len(of_these):
        return math.nan
    sides = (np.searchsorted(others, of_these, side) for side in ("left", "right"))
    return float(np.mean([below.mean() for below in sides]) / len(others))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else math.nan


def _square(matrix: Matrix) -> Matrix:
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"R must be (T, T) with T of 1 or more; got {matrix.shape}")
    return matrix


def reliability_bins(
    confidence: NDArray[np.float64], right: NDArray[np.float64], bins: int = 15
) -> NDArray[np.float64]:
    """Sort (n,) confidences into equal bins of [0, 1]: (bins, 3) samples, confidence, right ones.

    The last two are sums over the samples of a bin.
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    sums = [np.bincount(place, each, bins) for each in (np.ones_like(right), confidence, right)]
    return np.stack(sums, axis=1)


def calibration_error(bins: NDArray[np.float64]) -> float:
    """ECE: mean distance of confidence and accuracy over samples in (bins, 3) `reliability_bins`.

    Guo et al., "On calibration of modern neural networks", ICML 2017. NaN without samples.

    Example:
        >>> import numpy as np
        >>> from hypermnesia.metrics import calibration_error, reliability_bins
        >>> sure, right = np.array([0.9, 0.9, 0.9, 0.9]), np.array([1.0, 1.0, 1.0, 0.0])
        >>> round(calibration_error(reliability_bins(sure, right)), 3)
        0.15
    """
    samples = bins[:, 0].sum()
    return float(np.abs(bins[:, 1] - bins[:, 2]).sum() / samples) if samples else math.nan
