"""The output regulariser: what keeps a hypernetwork from changing the weights of earlier tasks.

    R(θ) = 1/(T-1) Σ_{t<T} || h(e_t; θ*) - h(e_t; θ) ||²

von Oswald et al. 2020 (arXiv 1906.00695), equation 2. Here T - 1 is the number of earlier tasks:
the mean over them, as in the authors' code (their slides print the plain sum).

`DirectRegularizer` is this definition. `ClosedFormRegularizer` has the same value and gradient
at a cost that hardly grows with earlier tasks; this form is ours:

A weight is v · φ + b, with features φ of its (task, chunk) row r and its row [v, b] of the head.
Starred values are those at the snapshot. How far the weights of row r have moved is

    h_r - h*_r = (V - V*) φ_r + (b - b*) + V* (φ_r - φ*_r) = X y_r,
    X = [V - V*, b - b*, V*]   (D, 2k+1),      y_r = [φ_r, 1, φ_r - φ*_r]   (2k+1).

With Y the matrix of rows y_r, the sum of squares over all rows, tasks and chunks, is

    Σ_r || X y_r ||² = || X Yᵀ ||² = <XᵀX, YᵀY>,

products of (2k+1, 2k+1) matrices: no target network is generated. The gradients by hand are

    dX = 2 X (YᵀY), whose first k + 1 columns are those of V and b,
    dY = 2 Y (XᵀX), and φ appears in its columns 1 to k and k+2 to 2k+1: both are added.

Of rows that are drawn, if they are fewer than about 0.8 k, X Yᵀ itself costs less.

Only differences are squared, so nothing large cancels in the head. Features are small, and a step
of 1e-4 moves them by little more than float32 resolves: they are made in float64, where autograd
also takes their gradient back through the hidden layers. So float32 is exact to rounding, which
the direct sum is not.

A row uses the first n_r entries of the head only (a last chunk, a chunk of a small layer, a task
with few outputs). The distinct n_r cut the head into bands; YᵀY of a band is the sum over the
rows that reach it, and XᵀX of a row is the sum over the bands that it reaches.

`hypermnesia.regularization.sampled` takes some of the tasks at every iteration, and
`hypermnesia.regularization.rows` some of their rows, (task, chunk), with far less error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Annotated, Any, Literal, Protocol, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.rnn import pad_sequence

from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.network import ChunkPlan, Hypernetwork
from hypermnesia.registry import Registry
from hypermnesia.regularization.drift import DRIFT
from hypermnesia.regularization.lookahead import LOOKAHEADS, Rows
from hypermnesia.seeding import Generators
from hypermnesia.settings import Name, NonNegative, Share, Width, named_in

Parameters = dict[str, Tensor]
"""Tensors by the names of a hypernetwork's parameters."""


@dataclass(frozen=True)
class RegularizerSettings:
    """How earlier tasks are protected; raises `ConfigError` for what has no effect.

    Attributes:
        beta: β, weight of the regulariser against the task's loss; 0 switches it off, `auto` lets
            it follow the bound `drift` (`hypermnesia.regularization.drift`).
        kind: a name in `REGULARIZERS`.
        lookahead: a name in `hypermnesia.regularization.lookahead.LOOKAHEADS`.
        subset: number of earlier tasks that `sampled` draws at an iteration; None for all.
        rows: number of rows, (task, chunk), that `closed` draws at an iteration; None for all,
            `auto` for all where these are few (`hypermnesia.regularization.rows`).
        drift: for `auto`, how much the weights of an earlier task may change while another is
            learned: the squares of the changes over those of the weights.
    """

    beta: NonNegative | Literal["auto"] = 0.01
    kind: Annotated[Name, named_in(REGULARIZERS)] = "closed"
    lookahead: Annotated[Name, named_in(LOOKAHEADS)] = "optimizer"
    subset: Width | None = None
    drift: Share = DRIFT
    rows: Width | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        if self.subset is not None and self.subset < 1:
            raise ConfigError("regularizer.subset must be 1 or more", got=self.subset)
        if self.beta != "auto" and self.drift != DRIFT:
            rule = "regularizer.drift is a bound that regularizer.beta=auto holds"
            got = f"regularizer.beta={self.beta}, regularizer.drift={self.drift}"
            raise ConfigError(rule, got=got, hint="set regularizer.beta=auto, or leave drift out")
        if (self.subset is None) == (self.kind == "sampled"):
            rule = "regularizer.subset goes with regularizer.kind=sampled, which needs it"
            got = f"regularizer.kind={self.kind}, regularizer.subset={self.subset}"
            raise ConfigError(rule, got=got, hint="set regularizer.subset, or leave both out")
        if isinstance(self.rows, int) and self.rows < 1:
            raise ConfigError("regularizer.rows must be auto, or 1 or more", got=self.rows)
        if self.rows is not None and self.kind != "closed":
            rule = "regularizer.rows goes with regularizer.kind=closed"
            got = f"regularizer.kind={self.kind}, regularizer.rows={self.rows}"
            raise ConfigError(rule, got=got, hint="leave regularizer.rows out, or the kind")


@dataclass(frozen=True)
class Snapshot:
    """What earlier tasks must keep: made when a task begins, constant while it is learned.

    Attributes:
        parameters: θ*, the hypernetwork's parameters at that moment.
        conditions: (tasks, E) what the earlier tasks' weights are made from, detached.
        plans: chunk plan of each earlier task.
    """

    parameters: Parameters
    conditions: Float[Tensor, "tasks E"]
    plans: Sequence[ChunkPlan]


class SteppedRows(Rows, Protocol):
    """A gradient of which some rows at a time are made, added to, and stepped by."""

    def step(self, rows: slice, /) -> None:
        """Take the step of rows, which are not asked for again."""


Point = Mapping[str, Rows]
"""θ + Δθ by parameter name: tensors, or what makes their rows when asked."""

OutputRegularizer = Callable[[Point, Parameters, float], Tensor]
"""(point, gradients, β) -> R at the point, a detached scalar; β ∇R is added to the gradients."""

RegularizerFactory = Callable[
    [Hypernetwork, Snapshot, RegularizerSettings, Generators], OutputRegularizer
]
"""(hypernetwork, snapshot, settings, generators) -> regulariser of one task's training."""

REGULARIZERS: Registry[RegularizerFactory] = Registry("regularizer", "regularizers")
"""Every way to compute the output regulariser, by name."""


class DirectRegularizer:
    """Regenerates all earlier weights at every call: time and memory grow with tasks x N."""

    def __init__(self, hypernet: Hypernetwork, snapshot: Snapshot) -> None:
        self.hypernet, self.snapshot = hypernet, snapshot
        self.protect(snapshot.conditions)

    @torch.no_grad()
    def protect(self, conditions: Float[Tensor, "tasks E"]) -> None:
        """Protect what other conditions of the same tasks made at the snapshot."""
        self.conditions = conditions
        self.wanted = self._weights(self.snapshot.parameters)

    def _weights(self, parameters: Parameters) -> list[Tensor]:
        tasks = zip(self.conditions, self.snapshot.plans, strict=True)
        call = partial(functional_call, self.hypernet, parameters)
        return [call((condition[None], plan))[0] for condition, plan in tasks]

    def __call__(self, point: Point, gradients: Parameters, beta: float) -> Tensor:
        """Return R, a scalar, at `point`; β times its gradient is added to `gradients`."""
        leaves = {name: rows[:].detach().requires_grad_() for name, rows in point.items()}
        pairs = zip(self._weights(leaves), self.wanted, strict=True)
        value = torch.stack([(now - then).square().sum() for now, then in pairs]).mean()
        pull = torch.autograd.grad(value, list(leaves.values()))
        for name, part in zip(leaves, pull, strict=True):
            gradients[name].add_(part, alpha=beta)
        return value.detach()


CACHE_BYTES = 1 << 19
"""Size of a block of X on a CPU: half of a usual second-level cache, as its inputs pass through."""

_HEAD = ("head.weight", "head.bias")


class ClosedForm:
    """What is made of rows' features, at a point and at the snapshot: R, and its gradients.

    Memory: X a block at a time and one gradient. Python's work grows with the number of distinct
    n_r, not with tasks.
    """

    def __init__(self, hypernet: Hypernetwork, snapshot: Snapshot) -> None:
        self.snapshot, self._features = snapshot, _Features(hypernet)
        weight = snapshot.parameters["head.weight"]
        self._then = weight, snapshot.parameters.get("head.bias", weight.new_zeros(len(weight)))
        used = pad_sequence([torch.tensor(p.used) for p in snapshot.plans], batch_first=True)
        self._ends = torch.unique(used[used > 0])
        # Number of the last band that a row reaches; -1 where a task has no such chunk.
        self._band = torch.searchsorted(self._ends, used).where(used > 0, -1)
        self._allocate()
        self.protect(snapshot.conditions)

    def protect(self, conditions: Float[Tensor, "tasks E"]) -> None:
        """Protect what other conditions of the same tasks made at the snapshot."""
        self._conditions = conditions

    @torch.no_grad()
    def _allocate(self) -> None:
        weight, _ = self._then
        k = weight.shape[1]
        self._bands = list(pairwise([0, *self._ends.tolist()]))
        # XᵀX of each band; its lower right part, V*ᵀV*, never changes.
        self._products = weight.new_empty(len(self._bands), 2 * k + 1, 2 * k + 1)
        for product, (start, stop) in zip(self._products, self._bands, strict=True):
            torch.mm(weight[start:stop].T, weight[start:stop], out=product[k + 1 :, k + 1 :])
        self._step = block_rows(weight)
        self._x = weight.new_empty(min(self._step, len(weight)), 2 * k + 1)

    def _add(
        self,
        point: Point,
        gradients: Parameters,
        beta: float,
        features_at: Callable[[Parameters], Float[Tensor, "*rows k"]],
        then: Float[Tensor, "*rows k"],
        groups: tuple[Int[Tensor, " rows"], list[int]],
        roots: Float[Tensor, " rows"] | None = None,
        *,
        tasks: int,
    ) -> Tensor:
        """Return R of rows, a scalar, over a number of tasks, and add β times its gradients.

        Of the rows there are what makes the features at parameters, those of the snapshot, their
        `groups` by band, and, unless these are 1, square roots of their weights in the sum.
        """
        leaves = {n: p[:].detach().requires_grad_() for n, p in point.items() if n not in _HEAD}
        features, (order, sizes) = features_at(leaves), groups
        with torch.no_grad():
            rows = torch.cat([features, torch.ones_like(then[..., :1]), features - then], dim=-1)
            rows = rows if roots is None else rows.mul_(roots[:, None])
            rows = rows.to(self._x).flatten(0, -2)[order]
            drawn = roots is not None  # all rows stay with the products, bit for bit
            way = self._one_by_one if drawn and few(*rows.shape) else self._by_products
            value, pulls = way(point, gradients, beta, torch.split(rows, sizes), tasks)
            gradient = torch.zeros_like(features).flatten(0, -2)
            gradient[order] = pulls.to(gradient) / tasks
            gradient = gradient if roots is None else gradient.mul_(roots[:, None])
        if leaves:
            pull = torch.autograd.grad(features, list(leaves.values()), gradient.view_as(features))
            torch._foreach_add_([gradients[name] for name in leaves], pull, alpha=beta)
        return value

    def _by_band(self, band: Int[Tensor, "*rows"]) -> tuple[Int[Tensor, " rows"], list[int]]:
        """Sort rows by band, without those of no weight, and count them, on the CPU: no waiting."""
        counts = torch.bincount(band.flatten() + 1, minlength=len(self._bands) + 1)
        unused, *sizes = counts.tolist()
        order = band.flatten().argsort(stable=True)[unused:]
        return order.to(self._x.device, non_blocking=True), sizes

    def _by_products(
        self, point: Point, gradients: Parameters, beta: float, rows: Sequence[Tensor], tasks: int
    ) -> tuple[Tensor, Tensor]:
        """Return <XᵀX, YᵀY> / tasks of `rows` by band, and tasks times the slopes of its φ."""
        # YᵀY of a band: its own rows and those of every later one.
        grams = torch.stack([y.T @ y for y in rows]).flip(0).cumsum(0).flip(0)
        grams /= tasks
        pulls, k = 2 * beta * grams, self._x.shape[1] // 2
        products = self._products[:, : k + 1].zero_()
        for band, x, slopes in self._walk_head(point, gradients):
            products[band].addmm_(x[:, : k + 1].T, x)
            slopes[0].addmm_(x, pulls[band, :, :k])
            if len(slopes) > 1:
                slopes[1].addmv_(x, pulls[band, :, k])
        self._products[:, k + 1 :, : k + 1] = self._products[:, : k + 1, k + 1 :].mT
        # Of a row, XᵀX is the sum over the bands that it reaches.
        reached = self._products.cumsum(0)
        of_features = 2 * (reached[..., :k] + reached[..., k + 1 :])
        found = torch.cat([y @ slope for y, slope in zip(rows, of_features, strict=True)])
        return (self._products * grams).sum(), found

    def _one_by_one(
        self, point: Point, gradients: Parameters, beta: float, rows: Sequence[Tensor], tasks: int
    ) -> tuple[Tensor, Tensor]:
        """The same for few rows: || X Yᵀ ||² and 2 (X Yᵀ)ᵀ X themselves."""
        k, alpha = self._x.shape[1] // 2, 2 * beta / tasks
        reach, together = [0, *accumulate(map(len, rows))], torch.cat([*rows])
        value, found = together.new_zeros(()), torch.zeros_like(together)
        for band, x, slopes in self._walk_head(point, gradients):
            y = together[reach[band] :]
            moved = x @ y.T
            value += moved.square().sum()
            found[reach[band] :].addmm_(moved.T, x, alpha=2)
            slopes[0].addmm_(moved, y[:, :k], alpha=alpha)
            if len(slopes) > 1:
                slopes[1].addmv_(moved, y[:, k], alpha=alpha)
        return value / tasks, found[:, :k] + found[:, k + 1 :]

    def _walk_head(
        self, point: Point, gradients: Parameters
    ) -> Iterator[tuple[int, Tensor, list[Tensor]]]:
        """Yield blocks of X, each with its band, and the head's gradients, to be added to."""
        (weight_then, bias_then), k = self._then, self._x.shape[1] // 2
        weight, with_bias = point["head.weight"], "head.bias" in point
        bias = point["head.bias"][:] if with_bias else bias_then
        slope: Tensor | SteppedRows = gradients["head.weight"]
        of_bias = [gradients["head.bias"]] if with_bias else []
        for band, (start, stop) in enumerate(self._bands):
            for first in range(start, stop, self._step):
                rows = slice(first, min(first + self._step, stop))
                x = self._x[: rows.stop - first]
                torch.sub(weight[rows], weight_then[rows], out=x[:, :k])
                torch.sub(bias[rows], bias_then[rows], out=x[:, k])
                x[:, k + 1 :] = weight_then[rows]
                yield band, x, [slope[rows], *(each[rows] for each in of_bias)]
                if not isinstance(slope, Tensor):
                    slope.step(rows)


class ClosedFormRegularizer(ClosedForm):
    """`DirectRegularizer` to rounding, without the earlier target networks.

    Memory: that of `ClosedForm`, and features of tasks x chunks rows.
    """

    def __init__(self, hypernet: Hypernetwork, snapshot: Snapshot) -> None:
        super().__init__(hypernet, snapshot)
        self._rows = self._by_band(self._band)

    @torch.no_grad()
    def protect(self, conditions: Float[Tensor, "tasks E"]) -> None:
        """Protect what other conditions of the same tasks made at the snapshot."""
        super().protect(conditions)
        chunks = self._band.shape[1]
        self._features_then = self._features.at(self.snapshot.parameters, conditions, chunks)

    def __call__(
        self, point: Point, gradients: Parameters, beta: float, tasks: Tensor | None = None
    ) -> Tensor:
        """Return R, a scalar, of (chosen,) distinct earlier tasks (on the CPU; all by default).

        Each row of the point is read once, before anything is added to its gradient.
        """
        conditions, then, groups = self._chosen(tasks)
        at = partial(self._features.at, conditions=conditions, chunks=then.shape[1])
        return self._add(point, gradients, beta, at, then, groups, tasks=len(conditions))

    def _chosen(self, tasks: Tensor | None) -> tuple[Tensor, Tensor, tuple[Tensor, list[int]]]:
        """Return conditions, features then, and the order of the rows, of the chosen tasks."""
        conditions, then = self._conditions, self._features_then
        if tasks is None:
            return conditions, then, self._rows
        here = tasks.to(then.device, non_blocking=True)
        return conditions[here], then[here], self._by_band(self._band[tasks])


def few(rows: int, width: int) -> bool:
    """Whether products with rows of this width cost less than those of the rows with each other.

    Of an entry of the head, with y = 2k + 1: m (2y + k) against y (2k + 1), multiplied and added.
    """
    k = width // 2
    return rows * (2 * width + k) < width * (2 * k + 1)


def block_rows(weight: Float[Tensor, "D k"]) -> int:
    """Return how many rows of the head to take at a time: on a CPU, as many as its cache holds."""
    of_row = (2 * weight.shape[1] + 1) * weight.element_size()
    return max(256, CACHE_BYTES // of_row) if weight.device.type == "cpu" else len(weight)


class _Features(nn.Module):
    """A hypernetwork's features, in float64, at parameters from outside."""

    def __init__(self, hypernet: Hypernetwork) -> None:
        super().__init__()
        self.hypernet = hypernet

    def forward(self, *given: Any) -> Tensor:
        return self.hypernet.features(*given)

    def at(
        self,
        parameters: Parameters,
        conditions: Float[Tensor, "tasks E"],
        chunks: int,
        rows: tuple[Tensor, Tensor] | None = None,
    ) -> Float[Tensor, "*rows k"]:
        """Make features, differentiable in `parameters`, of which the head has no part in them.

        Those of every task and chunk, (tasks, C, k), or those of `rows`: numbers of both.
        """
        small = {f"hypernet.{n}": p.double() for n, p in parameters.items() if n not in _HEAD}
        return cast(Tensor, functional_call(self, small, (conditions.double(), chunks, rows)))


class OverDraws:
    """Estimates the mean of R over random conditions, without bias: each call draws others.

    `draw` makes (tasks, E) conditions of the earlier tasks. Raises `ConfigError` for a `penalty`
    that cannot change those that it protects.
    """

    def __init__(self, penalty: OutputRegularizer, draw: Callable[[], Tensor]) -> None:
        if not hasattr(penalty, "protect"):
            rule, hint = "random conditions need a regulariser with the method protect", "define it"
            raise ConfigError(rule, got=type(penalty).__name__, hint=hint)
        self.penalty: Any = penalty
        self.draw = draw

    def __call__(self, point: Point, gradients: Parameters, beta: float) -> Tensor:
        """Estimate R, a scalar, at `point`; β times its gradient is added to `gradients`."""
        self.penalty.protect(self.draw())
        return cast(Tensor, self.penalty(point, gradients, beta))


def without_options(
    kind: Callable[[Hypernetwork, Snapshot], OutputRegularizer],
) -> RegularizerFactory:
    """Make the factory of a kind that has no settings of its own and draws nothing."""
    return lambda hypernet, snapshot, _settings, _generators: kind(hypernet, snapshot)


REGULARIZERS.add("direct", without_options(DirectRegularizer))
REGULARIZERS.add("closed", "hypermnesia.regularization.rows:closed_form")
REGULARIZERS.add("sampled", "hypermnesia.regularization.sampled:SampledRegularizer")
