"""What held-out samples of each fit say of a learner's certainty: temperatures, and quantiles."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from hypermnesia.data.types import Batch
from hypermnesia.state_files import State
from hypermnesia.tree import logits_of

if TYPE_CHECKING:
    from hypermnesia.methods.base import InfersTask

QUANTILES = 101
"""How many quantiles of a task's evidence are kept."""

_RECOGNISED = 0.9  # least share of a task's held-out samples, below which a learner warns
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
        self.losses = none  # of p(t | x), nats, summed over a task's held-out samples

    @property
    def temperature(self) -> float:
        """That of p(t | x)."""
        own = self.posterior[1:]  # a single task is certain
        return float(own.mean().exp()) if len(own) else 1.0

    @torch.no_grad()
    def measure(
        self, task: int, logits: Tensor, evidence: Tensor, y: Tensor, unseen: Tensor | None = None
    ) -> None:
        """Calibrate a task that has ended by n held-out samples of it.

        Of them are (n, outputs) `logits` of its own, (tasks, n) `evidence` and (n, ...) targets;
        `unseen` (n,) are log evidence of more samples under their own task alone.
        """
        own = evidence[task] if unseen is None else torch.cat([evidence[task], unseen.to(evidence)])
        posterior = sharpest(evidence.T, torch.full((evidence.shape[1],), task))
        outputs = torch.tensor(0.0)
        if not y.is_floating_point():
            outputs = sharpest(logits, y)
        rows = torch.tensor(float(len(own)))
        known = None
        if task < len(self.rows):
            known = self.quantiles[task], float(self.rows[task])
            rows = rows + self.rows[task]
        recognised = (evidence.argmax(dim=0) == task).double().mean()
        loss = -log_shares(evidence, float(posterior.exp()))[task].sum()
        self._put(task, posterior, outputs, quantiles(own, known), rows, recognised, loss)

    def _put(self, task: int, *values: Tensor) -> None:
        for name, value in zip(vars(self), values, strict=True):
            old = getattr(self, name)
            setattr(self, name, torch.cat([old[:task], value[None].float(), old[task + 1 :]]))

    def unmeasured(self, task: int) -> None:
        """Make room for a task of which there are no samples."""
        zero = torch.tensor(0.0)
        self._put(task, zero, zero, torch.zeros(QUANTILES), zero, zero)

    def remove(self, task: int) -> None:
        """Forget a task."""
        for name, value in vars(self).items():
            setattr(self, name, torch.cat([value[:task], value[task + 1 :]]))

    def copy(self, task: int) -> None:
        """Let a further task be calibrated as one that is known, by no samples of its own."""
        for name, value in vars(self).items():
            own = value[task : task + 1]
            counts = name in ("rows", "losses")
            setattr(self, name, torch.cat([value, torch.zeros_like(own) if counts else own]))

    def join(self, other: Calibration) -> None:
        """Take over another's tasks."""
        for name, value in vars(self).items():
            setattr(self, name, torch.cat([value, vars(other)[name]]))

    def log_posterior(self, evidence: Tensor) -> Tensor:
        """(tasks, ...) log p(t | x) of (tasks, ...) log evidence; each task is equally frequent."""
        return log_shares(evidence, self.temperature)

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


class Calibrations:
    """A calibration for each kind of evidence that a method has; under no name where it is one."""

    def __init__(self, method: object) -> None:
        self._evidence: Any = getattr(method, "evidence", None)
        self._by_kind: dict[str, Calibration] = {}

    @property
    def kind(self) -> str:
        """The kind that answers, where there are several."""
        found: str = getattr(self._evidence, "chosen", "")
        return found

    @property
    def current(self) -> Calibration:
        """That of the kind that answers."""
        return self._by_kind.setdefault(self.kind, Calibration())

    @property
    def losses(self) -> dict[str, float]:
        """Nats that each kind lost on all tasks' held-out samples."""
        return {kind: float(own.losses.sum()) for kind, own in self._by_kind.items()}

    def measure(self, method: InfersTask, task: int, batches: Iterable[Batch]) -> None:
        """Calibrate every kind by held-out samples of a task; then the best one answers."""
        found, unseen = asked(method, task, batches), getattr(self._evidence, "unseen", None)
        of_kind = unseen if isinstance(unseen, dict) else {"": unseen}
        for kind, evidence in found.evidence.items():
            own = self._by_kind.setdefault(kind, Calibration())
            own.measure(task, found.logits, evidence, found.y, of_kind.get(kind))
        self._choose()

    def _choose(self) -> None:
        if self.kind:
            self._by_kind = {kind: self._by_kind[kind] for kind in self._evidence.kinds}
            self._evidence.choose(self.losses)

    def remove(self, task: int) -> None:
        """Forget a task."""
        for own in self._by_kind.values():
            own.remove(task)
        self._choose()

    def copy(self, task: int) -> None:
        """Let a further task be calibrated as one that is known."""
        for own in self._by_kind.values():
            own.copy(task)

    def join(self, other: Calibrations) -> None:
        """Take over another's tasks."""
        for kind, theirs in other._by_kind.items():
            if kind in self._by_kind:
                self._by_kind[kind].join(theirs)
        self._choose()

    def state_dict(self) -> State:
        """All numbers."""
        return {kind: own.state_dict() for kind, own in self._by_kind.items()}

    def load_state_dict(self, state: State) -> None:
        """Put calibrations where `state_dict` found the others."""
        self._by_kind = {kind: Calibration() for kind in state}
        for kind, own in self._by_kind.items():
            own.load_state_dict(state[kind])


def warn_of_confusion(name: object, share: float, way: object) -> None:
    """Warn if the evidence, which the user has not chosen, takes a task for others."""
    if share < _RECOGNISED:
        told = f"task {name!r} should be told from the others; got {share:.0%} of its held-out"
        hint = "name the task, give inputs of one task together, or choose infer_task"
        warnings.warn(f"{told} samples by {way}; {hint}", stacklevel=5)


def warn_of_unfitted(name: object, method: object, task: int, held: Iterable[Batch]) -> None:
    """Warn if a task's autoencoder explains held-out samples no better than their means do."""
    gain = getattr(getattr(method, "evidence", None), "gain", None)
    if gain is not None and (nats := gain(task, held)) <= 0:
        told = f"the autoencoder of task {name!r} should explain held-out samples better than"
        hint = "raise iterations or lr, or use infer_task='auto'"
        warnings.warn(f"{told} their means do; got {nats:.2g} nats more; {hint}", stacklevel=5)


class Asked(NamedTuple):
    """What a method says of held-out samples, on the CPU.

    `logits` are (n, outputs) of their task, `evidence` of each kind (tasks, n), `y` (n, ...)
    targets.
    """

    logits: Tensor
    evidence: dict[str, Tensor]
    y: Tensor


@torch.no_grad()
def asked(method: InfersTask, task: int, batches: Iterable[Batch]) -> Asked:
    """Ask what speaks for all tasks; an evidence of one kind is found under no name."""
    each = getattr(getattr(method, "evidence", None), "each", None)
    logits, evidence, targets = [], [], []
    for batch in batches:
        own, found = _logits_and_evidence(method, task, batch)
        logits.append(own[task])
        evidence.append(each(batch.x, own) if each else {"": found})
        targets.append(batch.y)
    by_kind = {kind: torch.cat([e[kind] for e in evidence], 1).cpu() for kind in evidence[0]}
    return Asked(torch.cat(logits).cpu(), by_kind, torch.cat(targets).cpu())


def _logits_and_evidence(method: Any, task: int, batch: Batch) -> tuple[Any, Tensor]:
    """Logits by task, and (tasks, n) log evidence; of the task alone where that is all it takes.

    So a fit costs no more the more tasks there are, of networks that are asked one after another.
    """
    evidence: Any = getattr(method, "evidence", None)
    memory: Any = getattr(method, "memory", None)
    one_by_one = memory is not None and memory.target.way in ("swapped", "copied")
    if not getattr(evidence, "of_inputs", False) or not one_by_one or memory.draws > 1:
        found: tuple[Any, Tensor] = method.logits_and_evidence(batch.x)
        return found
    own = logits_of(memory.run(task, batch.x, training=False))
    return {task: own}, evidence.log_evidence(batch.x, own.new_empty(memory.tasks, 0))


def log_shares(evidence: Tensor, temperature: float) -> Tensor:
    """(tasks, ...) log p(t | x) of (tasks, ...) log evidence at a temperature."""
    return (evidence.double() / temperature).log_softmax(dim=0)


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
