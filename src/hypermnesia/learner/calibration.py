"""What held-out samples of each fit say of a learner's certainty: temperatures, and quantiles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from hypermnesia.data.types import Batch
from hypermnesia.state_files import State

if TYPE_CHECKING:
    from hypermnesia.methods.base import InfersTask

QUANTILES = 101
"""How many quantiles of a task's evidence are kept."""

_TEMPERATURES = torch.logspace(-2, 2, 81, dtype=torch.float64)
_DOUBT = 1.0  # nats against a temperature e times, or 1/e times, as high as 1


class Calibration:
    """Temperatures of p(t | x) and p(y | x, t), quantiles of log p(x | t), and shares recognised.

    Earlier tasks' samples are gone, so each is calibrated as the tasks were at the end of its last
    fit; p(t | x) has the geometric mean of all temperatures.
    """

    def __init__(self) -> None:
        none = torch.zeros(0, dtype=torch.float32)
        self.posterior, self.outputs = none, none  # log temperatures
        self.quantiles, self.rows = none.view(0, QUANTILES), none
        self.recognised = none  # of a task's held-out samples

    @property
    def temperature(self) -> float:
        """That of p(t | x)."""
        own = self.posterior[1:]  # a single task is certain
        return float(own.mean().exp()) if len(own) else 1.0

    @torch.no_grad()
    def measure(
        self, method: InfersTask, task: int, batches: Iterable[Batch], unseen: Tensor | None = None
    ) -> None:
        """Calibrate a task that has ended by held-out samples of it.

        `unseen` (n,) are log evidence of more samples under their own task alone.
        """
        logits, evidence, y = _asked(method, batches)
        own = evidence[task] if unseen is None else torch.cat([evidence[task], unseen.to(evidence)])
        posterior = sharpest(evidence.T, torch.full((evidence.shape[1],), task))
        outputs = torch.tensor(0.0)
        if not y.is_floating_point():
            outputs = sharpest(logits[task], y)
        rows = torch.tensor(float(len(own)))
        known = None
        if task < len(self.rows):
            known = self.quantiles[task], float(self.rows[task])
            rows = rows + self.rows[task]
        recognised = (evidence.argmax(dim=0) == task).double().mean()
        self._put(task, posterior, outputs, quantiles(own, known), rows, recognised)

    def _put(self, task: int, *values: Tensor) -> None:
        for name, value in zip(vars(self), values, strict=True):
            old = getattr(self, name)
            setattr(self, name, torch.cat([old[:task], value[None].float(), old[task + 1 :]]))

    def remove(self, task: int) -> None:
        """Forget a task."""
        for name, value in vars(self).items():
            setattr(self, name, torch.cat([value[:task], value[task + 1 :]]))

    def copy(self, task: int) -> None:
        """Let a further task be calibrated as one that is known."""
        for name, value in vars(self).items():
            setattr(self, name, torch.cat([value, value[task : task + 1]]))

    def join(self, other: Calibration) -> None:
        """Take over another's tasks."""
        for name, value in vars(self).items():
            setattr(self, name, torch.cat([value, vars(other)[name]]))

    def log_posterior(self, evidence: Tensor) -> Tensor:
        """(tasks, ...) log p(t | x) of (tasks, ...) log evidence; each task is equally frequent."""
        return (evidence.double() / self.temperature).log_softmax(dim=0)

    def log_outputs(self, logits: Tensor) -> Tensor:
        """(tasks, batch, outputs) log p(y | x, t) of such logits."""
        temperatures = logits.new_ones(len(logits))
        temperatures[: len(self.outputs)] = self.outputs.exp().to(logits)
        return (logits / temperatures[:, None, None]).double().log_softmax(dim=2)

    def p_values(self, evidence: Tensor) -> Tensor:
        """(tasks, batch) shares of a task's samples for which no more speaks; 1 if not measured.

        Of m held-out samples, k with as little evidence make it (k + 1) / (m + 1), as of conformal
        prediction (Vovk, Gammerman, Shafer 2005).
        """
        found = torch.ones(evidence.shape, dtype=torch.float64)
        for task, (own, rows) in enumerate(zip(self.quantiles, self.rows, strict=True)):
            below = share_below(evidence[task].double().cpu(), own.double())
            found[task] = (rows * below + 1) / (rows + 1)
        return found

    def state_dict(self) -> State:
        """All numbers."""
        return dict(vars(self))

    def load_state_dict(self, state: State) -> None:
        """Put a calibration where `state_dict` found the other."""
        vars(self).update(state)


def _asked(method: InfersTask, batches: Iterable[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """(tasks, n, outputs) logits, (tasks, n) evidence and (n, ...) targets, on the CPU."""
    found = [(*method.logits_and_evidence(batch.x), batch.y) for batch in batches]
    logits, evidence, y = zip(*found, strict=True)
    return torch.cat(logits, 1).cpu(), torch.cat(evidence, 1).cpu(), torch.cat(y).cpu()


def sharpest(scores: Tensor, truth: Tensor) -> Tensor:
    """The log temperature under which (n, k) scores make the (n,) `truth` likeliest.

    Guo et al. 2017 (arXiv 1706.04599); few samples say little, so one near 1 is preferred.
    """
    at = scores.double()[:, None] / _TEMPERATURES[None, :, None]
    losses = F.cross_entropy(at.movedim(2, 1), truth[:, None].expand(-1, len(_TEMPERATURES)),
                             reduction="none").sum(dim=0)  # fmt: skip
    logs = _TEMPERATURES.log()
    return logs[(losses + _DOUBT * logs.square()).argmin()].float()


def quantiles(values: Tensor, known: tuple[Tensor, float] | None = None) -> Tensor:
    """(101,) quantiles of (n,) values and, of so many samples, those whose quantiles are known."""
    values, weights = values.double(), torch.ones(len(values), dtype=torch.float64)
    if known is not None:
        old, rows = known
        values = torch.cat([values, old.double()])
        weights = torch.cat([weights, torch.full((len(old),), rows / len(old))])
    values, order = values.sort()
    weights = weights[order]
    places = (weights.cumsum(0) - weights) / (weights.sum() - weights[-1]).clamp(min=1e-9)
    return interpolated(torch.linspace(0, 1, QUANTILES, dtype=torch.float64), places, values)


def share_below(values: Tensor, of: Tensor) -> Tensor:
    """(n,) shares of a distribution, whose sorted (101,) quantiles are known, below (n,) values."""
    return interpolated(values, of, torch.linspace(0, 1, len(of), dtype=values.dtype))


def interpolated(x: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """(n,) of the line through (k,) values at sorted (k,) places; flat beyond them."""
    right = torch.searchsorted(places, x).clamp(1, max(1, len(places) - 1))
    right = right.clamp(max=len(places) - 1)
    left = (right - 1).clamp(min=0)
    width = (places[right] - places[left]).clamp(min=1e-12)
    share = ((x - places[left]) / width).clamp(0, 1)
    return values[left] + share * (values[right] - values[left])
