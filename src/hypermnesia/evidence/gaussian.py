"""`gaussian`: the task under whose Gaussians a sample is likeliest.

task = argmax_t log p(x | t), with p(x | t) = N(x; μ_t, Σ_t) or Σ_c p(c) N(x; μ_tc, Σ_tc) over the
task's classes, whichever held-out samples speak for. Covariances are shrunk by Ledoit and Wolf 2004
("A well-conditioned estimator for large-dimensional covariance matrices", doi
10.1016/S0047-259X(03)00096-4). Where a matrix has more numbers than the budget it is low rank plus
diagonal, as of factor analysis. Nothing is trained: a fit of sums, when the task ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.errors import DataError
from hypermnesia.evidence import Evidence
from hypermnesia.evidence.inputs import Rows, SharedLayer, flat
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.ridge import upper_of
from hypermnesia.settings import Positive
from hypermnesia.state_files import State
from hypermnesia.tree import Tree

_FEW = 8  # rows below which a class gets no Gaussian of its own
_FOLDS, _FOLDED = 10, 1_000_000  # parts, and entries of a task up to which it is cross-validated
_FLOOR = 1e-6  # least variance, as a share of the mean one: what never varied in training may vary


@dataclass(frozen=True)
class GaussianSettings:
    """How large the Gaussians may be, and whose they are.

    Attributes:
        numbers: most numbers of a covariance: full, D(D+1)/2 for inputs of D entries, if these are
            no more; else of as many rank-one parts as fit, and a diagonal.
        of: what has a Gaussian of its own: each `task`, each `class` of it, or whichever a fifth of
            the task's samples, held out, are likelier under (`best`).
    """

    numbers: Positive = 100_000
    of: Literal["task", "class", "best"] = "best"


_DEFAULT = GaussianSettings()


@dataclass(frozen=True)
class Gaussian:
    """N(x; mean, factorᵀ factor + diag(noise)), of so many samples of a class; -1: of the task.

    `mean` and `noise` are (D,), `factor` is (r, D). A full covariance has r = D and no noise, its
    factor is upper triangular.
    """

    mean: Tensor
    factor: Tensor
    noise: Tensor
    count: int
    label: int

    @property
    def full(self) -> bool:
        """Whether the covariance is as it was found."""
        return not bool(self.noise.any())

    @property
    def kept(self) -> int:
        """Numbers that it has."""
        rank, entries = self.factor.shape
        return entries + (rank * (rank + 1) // 2 if self.full else (rank + 1) * entries)

    def log_density(self, x: Tensor) -> Tensor:
        """(batch,) log densities, in nats, of (batch, D) inputs."""
        scale, rows, at_mean = self.solved()
        return at_mean - 0.5 * _distances(x - self.mean, scale, rows, self.full)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, D) draws."""
        rank, entries = self.factor.shape
        own = torch.randn(count, rank, generator=generator, dtype=torch.float64).to(self.mean)
        noise = torch.randn(count, entries, generator=generator, dtype=torch.float64).to(self.mean)
        return self.mean + own @ self.factor + noise * self.noise.sqrt()

    def solved(self) -> tuple[Tensor, Tensor, Tensor]:
        """(D,) s and (r, D) B with Σ⁻¹ = diag(s²) ± BᵀB, + and s = 0 if full; -log |2πΣ| / 2."""
        scale, entries = torch.zeros_like(self.mean), len(self.mean)
        eye = torch.eye(len(self.factor)).to(self.factor)
        if self.full:
            log_det = 2 * self.factor.diagonal().abs().log().sum()
            rows = torch.linalg.solve_triangular(self.factor.T, eye, upper=False)
        else:  # Woodbury: A = F Ψ^-1/2, and the Cholesky factor of I + A Aᵀ
            scale = self.noise.rsqrt()
            half = self.factor * scale
            inner = torch.linalg.cholesky(eye + half @ half.T)
            log_det = self.noise.log().sum() + 2 * inner.diagonal().log().sum()
            rows = torch.linalg.solve_triangular(inner, half * scale, upper=False)
        return scale, rows, -0.5 * (log_det + entries * math.log(2 * math.pi))


def _distances(v: Tensor, scale: Tensor, rows: Tensor, full: bool) -> Tensor:
    """vᵀ Σ⁻¹ v of (..., batch, D) rows, of what is `solved`."""
    squares = (v @ rows.mT).square().sum(dim=-1)
    return squares if full else (v * scale).square().sum(dim=-1) - squares


class GaussiansModule(nn.Module):
    """Log densities of finished tasks, solved once: there is no solver in a graph of it.

    `seen` gives the (batch, D) entries of inputs.
    """

    def __init__(self, tasks: Sequence[Sequence[Gaussian]], seen: Callable[[Tensor], Tensor]):
        super().__init__()
        self.mixtures, self.seen = nn.ModuleList(map(_Mixture, tasks)), seen

    def forward(self, x: Tensor, logits: Tensor) -> Tensor:
        """(tasks, batch) log densities, in nats, of (batch, *sample) inputs."""
        entries = self.seen(x)
        return torch.stack([mixture(entries) for mixture in self.mixtures]).to(logits.dtype)


class _Mixture(nn.Module):
    """`mixture` of a task's Gaussians, all at once; missing ranks are rows of zeros."""

    mean: Tensor
    scale: Tensor
    rows: Tensor
    at_mean: Tensor

    def __init__(self, gaussians: Sequence[Gaussian]) -> None:
        super().__init__()
        scale, rows, at_mean = zip(*(each.solved() for each in gaussians), strict=True)
        counts = torch.tensor([each.count for each in gaussians]).to(at_mean[0])
        own = torch.stack(at_mean) + (counts / counts.sum()).log()
        self.full = gaussians[0].full
        self.register_buffer("mean", torch.stack([each.mean for each in gaussians])[:, None])
        self.register_buffer("scale", torch.stack(scale)[:, None])
        self.register_buffer("rows", pad_sequence(list(rows), batch_first=True))
        self.register_buffer("at_mean", own[:, None])

    def forward(self, x: Tensor) -> Tensor:
        squares = _distances(x - self.mean, self.scale, self.rows, self.full)
        return (self.at_mean - 0.5 * squares).logsumexp(dim=0)


def shrinkage(x: Tensor) -> Tensor:
    """Ledoit and Wolf's share of the mean variance in the covariance of (n, D) centred rows.

    min(β², δ²) / δ², β² = (Σ |x_i|⁴ / n - |S|²) / n and δ² = |S - μ I|², with S = xᵀ x / n.
    """
    n, entries = x.shape
    gram = x @ x.T if n < entries else x.T @ x
    squared = gram.square().sum() / n**2
    mean = x.square().sum() / n / entries
    spread = squared - entries * mean**2
    error = (x.square().sum(dim=1).square().sum() / n - squared) / n
    return (error / spread).clamp(0, 1) if spread > 0 else torch.ones_like(spread)


def fitted(x: Tensor, numbers: float, label: int = -1) -> Gaussian:
    """The Gaussian of (n, D) rows, of a covariance with so many numbers at most."""
    mean, n = x.mean(dim=0), len(x)
    centred = x - mean
    share, variance = shrinkage(centred), centred.square().mean()
    least = _FLOOR * torch.maximum(variance, _FLOOR * (1 + x.square().mean()))
    noise = torch.maximum(share * variance, least).expand(x.shape[1])
    return _of_rows(mean, ((1 - share) / n).sqrt() * centred, noise, numbers, (n, label))


def pooled(a: Gaussian, b: Gaussian, numbers: float) -> Gaussian:
    """The Gaussian with the moments of both together, each counted by its samples."""
    count = a.count + b.count
    p, q = a.count / count, b.count / count
    between = math.sqrt(p * q) * (a.mean - b.mean)[None]
    rows = torch.cat([math.sqrt(p) * a.factor, math.sqrt(q) * b.factor, between])
    mean, noise = p * a.mean + q * b.mean, p * a.noise + q * b.noise
    return _of_rows(mean, rows, noise, numbers, (count, a.label))


def _of_rows(
    mean: Tensor, rows: Tensor, noise: Tensor, numbers: float, of: tuple[int, int]
) -> Gaussian:
    """The Gaussian with the covariance rowsᵀ rows + diag(noise), or one of fewer numbers."""
    entries = len(mean)
    if entries * (entries + 1) // 2 <= numbers:
        factor = torch.linalg.cholesky(rows.T @ rows + noise.diag()).T
        return Gaussian(mean, factor.contiguous(), torch.zeros_like(noise), *of)
    rank = min(len(rows), max(0, int(numbers // entries) - 1))
    factor = _principal(rows, rank)
    left = rows.square().sum(dim=0) - factor.square().sum(dim=0)
    return Gaussian(mean, factor, noise + left.clamp(min=0), *of)


def _principal(rows: Tensor, rank: int) -> Tensor:
    """The (rank, D) rows that give most of the (k, D) rows' product rowsᵀ rows."""
    wide = len(rows) < rows.shape[1]
    values, vectors = torch.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)
    first = len(values) - rank
    best: Tensor = vectors[:, first:].T
    return best @ rows if wide else values[first:, None].clamp(min=0).sqrt() * best


def mixture(gaussians: list[Gaussian], x: Tensor) -> Tensor:
    """(batch,) log densities of (batch, D) inputs, each Gaussian counted by its samples."""
    counts = x.new_tensor([each.count for each in gaussians])
    densities = torch.stack([each.log_density(x) for each in gaussians])
    return (densities + (counts / counts.sum()).log()[:, None]).logsumexp(dim=0)


class TaskGaussians(Evidence):
    """A Gaussian for each task or class: nothing is trained, and little is to be tuned.

    Densities are of inputs or, with `features`, of a shared layer's activations: all tasks' must
    have one shape, and their entries one scale. All
    tasks are equally likely before an input is seen. A task that goes on pools the moments of its
    samples with the earlier ones.

    Attributes:
        unseen: (n,) cross-validated log densities of the samples of the task that has just ended,
            where they are few; for a while, not saved.
    """

    from_samples = of_inputs = True

    def __init__(
        self,
        networks: AllTasks,
        *,
        gaussian: GaussianSettings = _DEFAULT,
        features: str | None = None,
    ) -> None:
        self.device, self.settings = networks.memory.device, gaussian
        self.layer = SharedLayer(networks.memory, features) if features else None
        self.gaussians: list[list[Gaussian]] = []
        self.unseen: Tensor | None = None
        self._ready: list[tuple[list[Gaussian], _Mixture]] = []
        self.task = self.entries = 0

    def begin_task(self, spec: TaskSpec) -> None:  # noqa: ARG002
        """Note that a task has begun, of which there is no Gaussian yet."""
        self.task = len(self.gaussians)

    def continue_task(self, task: int, spec: TaskSpec) -> None:  # noqa: ARG002
        """Note the task."""
        self.task = task

    def draw(self, task: int, count: int, generator: torch.Generator) -> Tensor | None:
        """(count, D) inputs of the task's Gaussians, each as often as its samples; else None."""
        if self.layer is not None:
            return None
        own = self.gaussians[task]
        shares = torch.tensor([float(each.count) for each in own])
        chosen = torch.multinomial(shares, count, replacement=True, generator=generator)
        drawn = [
            each.sample(int((chosen == place).sum()), generator) for place, each in enumerate(own)
        ]
        return torch.cat(drawn)

    def remove_task(self, task: int) -> None:
        """Drop the task's Gaussians."""
        del self.gaussians[task]
        self.task = len(self.gaussians)

    def merge(self, other: Any) -> None:
        """Take over the Gaussians of another's tasks; raises `DataError` for other shapes."""
        if other.entries not in (0, self.entries):
            rule, hint = "densities compare inputs of one shape", "learn them in one shape"
            got = f"{other.entries} entries, where they had {self.entries}"
            raise DataError(rule, got=got, hint=hint)
        stored = [list(map(_stored, each)) for each in other.gaussians]
        self.gaussians += [[self._restored(each) for each in task] for task in stored]

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing is trained; raises `DataError` for inputs that have no density beside others."""
        if self.layer is not None and self.entries:  # a layer's are of one shape
            return {}
        x = self._seen(batch.original)
        if self.entries not in (0, x.shape[1]):
            rule, hint = "densities compare inputs of one shape", "pad them, or use entropy"
            got = f"{x.shape[1]} entries, where they had {self.entries}"
            raise DataError(rule, got=got, hint=hint)
        self.entries = x.shape[1]
        return {}

    def _seen(self, x: Tree) -> Tensor:
        """(batch, D) float64 entries of inputs, or of the layer's activations."""
        return flat(x if self.layer is None else self.layer(x))

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Fit the Gaussians of the task's samples, or pool them with those that it has."""
        rows = self.rows()
        for batch in batches:
            rows.add(batch.original, batch.y)
        self.fit(*rows.joined())

    def rows(self) -> Rows:
        """What collects samples of the task that ends."""
        if self.layer:
            self.layer.forget()  # shared parts are learned with the first task
        return Rows(self._seen)

    def fit(self, x: Tensor, labels: Tensor) -> None:
        """Fit the Gaussians to (n, D) rows and their (n, ...) targets, or pool them."""
        y = None if labels.is_floating_point() else labels
        found = self._fitted(x, y)
        known = self.gaussians[self.task] if self.task < len(self.gaussians) else []
        few = x.numel() <= _FOLDED and len(x) >= _FOLDS and not known
        self.unseen = self._out_of_fold(x, y if found[0].label >= 0 else None) if few else None
        self.gaussians[self.task : self.task + 1] = [self._joined(known, found)]

    def _fitted(self, x: Tensor, y: Tensor | None) -> list[Gaussian]:
        """One Gaussian of (n, D) rows, or one a class of (n,) `y`, as the settings say."""
        of = self.settings.of
        if y is None or of == "task" or int(torch.unique(y, return_counts=True)[1].min()) < _FEW:
            return [fitted(x, self.settings.numbers)]
        if of == "best":
            held = torch.arange(len(x), device=x.device) % 5 == 4
            one = fitted(x[~held], self.settings.numbers).log_density(x[held])
            each = mixture(self._by_class(x[~held], y[~held]), x[held])
            of = "class" if each.mean() > one.mean() else "task"
        return self._by_class(x, y) if of == "class" else [fitted(x, self.settings.numbers)]

    def _out_of_fold(self, x: Tensor, y: Tensor | None) -> Tensor:
        """(n,) log densities of (n, D) rows, each as if the Gaussians had not been fitted to it."""
        fold, found = torch.arange(len(x), device=x.device) % _FOLDS, x.new_zeros(len(x))
        for held in (fold == each for each in range(_FOLDS)):
            rest = x[~held]
            numbers = self.settings.numbers
            own = [fitted(rest, numbers)] if y is None else self._by_class(rest, y[~held])
            found[held] = mixture(own, x[held])
        return found

    def _by_class(self, x: Tensor, y: Tensor) -> list[Gaussian]:
        numbers = self.settings.numbers
        return [fitted(x[y == label], numbers, label) for label in torch.unique(y).tolist()]

    def _joined(self, known: list[Gaussian], found: list[Gaussian]) -> list[Gaussian]:
        """Those known and found; two of one class become one."""
        by_label = {each.label: each for each in known}
        for new in found:
            old = by_label.get(new.label)
            by_label[new.label] = pooled(old, new, self.settings.numbers) if old else new
        return list(by_label.values())

    def log_evidence(self, x: Tree, logits: Tensor) -> Tensor:
        """(tasks, batch) log densities, in nats; the lowest for a task that has not ended."""
        x = self._seen(x)
        solved = {id(own): mixture for own, mixture in self._ready}
        self._ready = [(own, solved.get(id(own)) or _Mixture(own)) for own in self.gaussians]
        found = [mixture(x) for _, mixture in self._ready]
        lowest = torch.stack(found).amin(dim=0) if found else x.new_zeros(len(x))
        found += [lowest] * (len(logits) - len(found))
        return torch.stack(found).to(logits.dtype)

    def module(self) -> nn.Module:
        """The densities as they are now; those of a layer with the network that it is in."""
        return GaussiansModule(self.gaussians, self.layer.module() if self.layer else flat)

    @property
    def kept(self) -> int:
        """Numbers of all Gaussians."""
        return sum(each.kept for gaussians in self.gaussians for each in gaussians)

    def state_dict(self) -> State:
        """The Gaussians, and which task is in training."""
        gaussians = [list(map(_stored, each)) for each in self.gaussians]
        return {"task": self.task, "entries": self.entries, "gaussians": gaussians}

    def load_state_dict(self, state: State) -> None:
        """Put an evidence where `state_dict` found the other."""
        if self.layer:
            self.layer.forget()
        self.task, self.entries = state["task"], state["entries"]
        self.gaussians = [[self._restored(each) for each in task] for task in state["gaussians"]]

    def _restored(self, stored: dict[str, Any]) -> Gaussian:
        parts: dict[str, Any] = {
            name: value.to(self.device) if isinstance(value, Tensor) else value
            for name, value in stored.items()
        }
        if (packed := parts["factor"]).ndim == 1:
            entries = len(parts["mean"])
            factor = packed.new_zeros(entries, entries)
            factor[tuple(torch.triu_indices(entries, entries))] = packed
            parts["factor"] = factor
        return Gaussian(**parts)


def _stored(gaussian: Gaussian) -> dict[str, Any]:
    """What a file holds of it: of a full factor the upper triangle, row by row."""
    factor = gaussian.factor
    if gaussian.full:
        factor = upper_of(factor)
    own = {"mean": gaussian.mean, "noise": gaussian.noise}
    return {**own, "factor": factor, "count": gaussian.count, "label": gaussian.label}
