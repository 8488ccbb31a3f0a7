"""The output regulariser in closed form over rows, (task, chunk), drawn at every iteration.

R is a sum over rows r of S_r = || X y_r ||², over the number of tasks, and a row makes n_r of the N
weights of all earlier tasks. Of m rows, each drawn n_r m / N times on average,

    N/m Σ S_r / n_r

estimates the sum without bias, value and gradient alike. Where rows are of several lengths, long
ones, which weigh more in the sum, are drawn more often; where all are alike, this is the mean of
the rows drawn times their number.

The draw is systematic: of all N weights in a row, task after task, every N/m-th from a random
start, each of which stands for its row. So every task has its share of the rows, to one: whole
tasks differ far more from each other than a task's chunks do. Chunks of each task are counted from
a random one, else a stride of a task's length would meet the same chunks in every task.
"""

from __future__ import annotations

import logging
from functools import partial

import torch
from jaxtyping import Int
from torch import Tensor

from hypermnesia.hypernet.network import Hypernetwork
from hypermnesia.regularization.output import (
    ClosedForm,
    ClosedFormRegularizer,
    OutputRegularizer,
    Parameters,
    Point,
    RegularizerSettings,
    Snapshot,
)
from hypermnesia.seeding import Generators

_log = logging.getLogger(__name__)

DRAWN = 2048
"""Rows that `auto` draws."""

FEW = 4 * DRAWN
"""Rows of which `auto` takes all."""


def closed_form(
    hypernet: Hypernetwork,
    snapshot: Snapshot,
    settings: RegularizerSettings,
    generators: Generators,
) -> OutputRegularizer:
    """Return the closed form of all rows, or of `settings.rows` drawn where there are more."""
    rows = settings.rows
    if rows is None:
        return ClosedFormRegularizer(hypernet, snapshot)
    counts = [sum(n > 0 for n in plan.used) for plan in snapshot.plans]
    total, width = sum(counts), len(snapshot.parameters["head.weight"])
    if rows == "auto":
        rows = auto(total, width)
        if rows < total and auto(before := total - counts[-1], width) == before:  # the first time
            _log.info("regularizer.rows=auto: %s of %s rows drawn from now on", rows, total)
    if rows >= total:
        return ClosedFormRegularizer(hypernet, snapshot)
    return RowsRegularizer(hypernet, snapshot, rows, generators)


def auto(total: int, width: int) -> int:
    """Return how many of all rows `auto` takes.

    Products of all rows cost what those of as many rows of the head do, of which there are `width`
    and which none can do without: what costs no more is no saving.
    """
    return total if total <= max(FEW, width) else DRAWN


class RowDraws:
    """Draws rows in proportion to their lengths, of each task its share.

    Args:
        used: n_r of every task and chunk, 0 where a task has no such chunk.
        drawn: m, how many to draw.
    """

    def __init__(self, used: Int[Tensor, "tasks C"], drawn: int) -> None:
        self.drawn, self._ends = drawn, used.flatten().cumsum(0)
        self._sizes = used.sum(1)
        self._task_ends = self._sizes.cumsum(0)
        self.weights = int(self._ends[-1])

    def __call__(self, generator: torch.Generator) -> Int[Tensor, " rows"]:
        """Draw numbers of rows, tasks x C of which are counted."""
        start = torch.randint(self.weights, (), generator=generator)
        turns = torch.randint(1 << 62, self._sizes.shape, generator=generator)
        return self.at(start, turns)

    def at(self, start: Int[Tensor, ""], turns: Int[Tensor, " tasks"]) -> Int[Tensor, " rows"]:
        """Return the rows of a start, 0 to N - 1, and of the weight that each task begins at."""
        # Over all starts, each of the N weights is met m times, by no rounding.
        places = (start + torch.arange(self.drawn) * self.weights) // self.drawn
        task = torch.searchsorted(self._task_ends, places, right=True)
        sizes = self._sizes[task]
        first = self._task_ends[task] - sizes
        turned = first + (places - first + turns[task]) % sizes
        return torch.searchsorted(self._ends, turned, right=True)


class RowsRegularizer(ClosedForm):
    """Estimates R without bias, in closed form over rows drawn from the stream `rows`.

    Features at the snapshot are made for these rows alone, at every call: memory does not grow
    with tasks.
    """

    def __init__(
        self, hypernet: Hypernetwork, snapshot: Snapshot, rows: int, generators: Generators
    ) -> None:
        super().__init__(hypernet, snapshot)
        used = self._ends[self._band].where(self._band >= 0, 0)
        self.draws, self.generators = RowDraws(used, rows), generators

    def __call__(self, point: Point, gradients: Parameters, beta: float) -> Tensor:
        """Estimate R, a scalar, at `point`; β times its gradient is added to `gradients`."""
        return self.of(self.draws(self.generators["rows"]), point, gradients, beta)

    def of(
        self, drawn: Int[Tensor, " rows"], point: Point, gradients: Parameters, beta: float
    ) -> Tensor:
        """Estimate R, a scalar, from these rows, of which some may be there several times."""
        tasks, chunks = self._band.shape
        band = self._band.flatten()[drawn]
        weights = self.draws.weights / (len(drawn) * self._ends[band].double())
        device = self._conditions.device
        here, roots = (part.to(device, non_blocking=True) for part in (drawn, weights.sqrt()))
        rows = here // chunks, here % chunks
        at = partial(self._features.at, conditions=self._conditions, chunks=chunks, rows=rows)
        with torch.no_grad():
            then = at(self.snapshot.parameters)
        groups = self._by_band(band)
        return self._add(point, gradients, beta, at, then, groups, roots, tasks=tasks)
