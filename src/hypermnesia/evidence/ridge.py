"""`ridge`: the task of the class for which ridge regression on what all tasks have added up speaks.

task = argmax_t max_c w_tcᵀ f(x), W = Q (G + λ I)⁻¹, G = Σ f fᵀ, Q_tc = Σ f over samples of class c

A density of each task knows what its inputs look like; W, solved anew from the sums of all tasks,
knows by what they differ, as of RanPAC (McDonnell et al. 2023, arXiv 2307.02251). f are a 1, the
entries of inputs or a frozen layer's activations and, with `width`, products (R x)(R' x) of random
projections: a polynomial of second degree. Nothing is trained, and no task is apart from the
others: one can be added, gone on with and merged, but not removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.errors import DataError
from hypermnesia.evidence import Evidence
from hypermnesia.evidence.inputs import SharedLayer, flat
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.ridge import Products, ridge, symmetric, upper_of
from hypermnesia.settings import Count, Positive
from hypermnesia.state_files import State
from hypermnesia.tree import Tree

_SHARP = 10.0  # an answer is 0 or 1 as it was taught: so many nats are near what it is worth


@dataclass(frozen=True)
class RidgeSettings:
    """The features, and how far W is shrunk.

    Attributes:
        width: M, products of random projections of the entries.
        strength: λ, as a share of the mean of G's diagonal.
    """

    width: Count = 0
    strength: Positive = 0.01


_DEFAULT = RidgeSettings()


def _expanded(entries: int, width: int) -> Products:
    """Make features of (batch, D) entries; R is the same for every learner."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(2, width, entries, generator=generator, dtype=torch.float64)
    return Products(drawn / entries**0.5)


class _Scores(nn.Module):
    """(tasks, batch) evidence of inputs, as it is solved now."""

    weight: Tensor

    def __init__(
        self, seen: Callable[[Tree], Tensor], expanded: nn.Module, weight: Tensor, sizes: list[int]
    ) -> None:
        super().__init__()
        self.seen, self.expanded, self.sizes = seen, expanded, sizes
        self.register_buffer("weight", weight)

    def forward(self, x: Tree, logits: Tensor) -> Tensor:
        """(tasks, batch); a class without samples has no say."""
        found = self.expanded(self.seen(x)) @ self.weight.T
        best = [each.amax(dim=1) for each in torch.split(found, self.sizes, dim=1)]
        return (_SHARP * torch.stack(best)).to(logits.dtype)


class TaskRidge(Evidence):
    """Ridge regression of the classes of all tasks on their inputs, from sums alone."""

    from_samples = of_inputs = True

    def __init__(
        self, networks: AllTasks, *, ridge: RidgeSettings = _DEFAULT, features: str | None = None
    ) -> None:
        self.device, self.settings = networks.memory.device, ridge
        self.layer = SharedLayer(networks.memory, features) if features else None
        self.sums: list[Tensor] = []  # (classes, features) of each task
        self.counts: list[Tensor] = []
        self.products = torch.zeros(0, 0, dtype=torch.float64, device=self.device)
        self.entries, self.task, self.outputs = 0, 0, 1
        self._expanded: Products | None = None
        self._ready: _Scores | None = None

    def begin_task(self, spec: TaskSpec) -> None:
        """Note that a task has begun, of which there are no sums yet."""
        self.task, self.outputs = len(self.sums), spec.outputs

    def continue_task(self, task: int, spec: TaskSpec) -> None:
        """Note the task, to whose sums more are added."""
        self.task, self.outputs = task, spec.outputs

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Nothing is trained; raises `DataError` for inputs that cannot be compared with others."""
        if self.layer is None or not self.entries:  # a layer's are of one shape
            self._features(batch.original)
        return {}

    def _seen(self, x: Tree) -> Tensor:
        return flat(x if self.layer is None else self.layer(x))

    def _features(self, x: Tree) -> Tensor:
        entries = self._seen(x)
        if self.entries not in (0, entries.shape[1]):
            rule, hint = "ridge regression is of inputs of one shape", "pad them, or use entropy"
            got = f"{entries.shape[1]} entries, where they had {self.entries}"
            raise DataError(rule, got=got, hint=hint)
        self.entries = entries.shape[1]
        return cast(Tensor, self._expander()(entries))

    def _expander(self) -> Products:
        if self._expanded is None or self._expanded.drawn.shape[2] != self.entries:
            self._expanded = _expanded(self.entries, self.settings.width).to(self.device)
        return self._expanded

    @torch.no_grad()
    def end_task(self, batches: Iterable[Batch]) -> None:
        """Add the task's samples to the sums."""
        if self.layer:
            self.layer.forget()  # shared parts are learned with the first task
        for batch in batches:
            f, y = self._features(batch.original), batch.y
            whole = y.ndim > 1 or y.is_floating_point()  # such a task is one class
            own = F.one_hot(torch.zeros(len(y)).long().to(y.device) if whole else y)
            self._add(own.to(f), f)
        self._ready = None

    def _add(self, own: Tensor, f: Tensor) -> None:
        """Add (batch, D) features of the (batch, classes) classes that they are of."""
        if not len(self.products):
            self.products = self.products.new_zeros(f.shape[1], f.shape[1])
        if self.task == len(self.sums):
            self.sums.append(f.new_zeros(0, f.shape[1]))
            self.counts.append(f.new_zeros(0))
        more = own.shape[1] - len(self.counts[self.task])
        sums = F.pad(self.sums[self.task], (0, 0, 0, max(0, more)))
        counts = F.pad(self.counts[self.task], (0, max(0, more)))
        sums[: own.shape[1]] += own.T @ f
        counts[: own.shape[1]] += own.sum(dim=0)
        self.sums[self.task], self.counts[self.task] = sums, counts
        self.products += f.T @ f

    def merge(self, other: Any) -> None:
        """Take over the sums of another's tasks; raises `DataError` for inputs of other shapes."""
        if self.entries and other.entries and self.products.shape != other.products.shape:
            rule, hint = "ridge regression is of inputs of one shape", "learn them in one shape"
            got = f"{other.entries} entries, where they had {self.entries}"
            raise DataError(rule, got=got, hint=hint)
        theirs = other.products.to(self.device)
        self.products = self.products + theirs if len(self.products) else theirs.clone()
        self.entries = self.entries or other.entries
        self.sums += [each.to(self.device).clone() for each in other.sums]
        self.counts += [each.to(self.device).clone() for each in other.counts]
        self._ready = None

    def _scores(self, seen: Callable[[Tree], Tensor]) -> _Scores:
        strength = self.settings.strength * float(self.products.diagonal().mean())
        weight = ridge(self.products, torch.cat(self.sums), strength)
        weight[torch.cat(self.counts) == 0] = 0.0  # which few inputs are answered by
        return _Scores(seen, self._expander(), weight.contiguous(), [len(s) for s in self.sums])

    @torch.no_grad()
    def log_evidence(self, x: Tree, logits: Tensor) -> Tensor:
        """(tasks, batch) how much speaks for each task; the least for one that has not ended."""
        if not self.sums:
            return logits.new_zeros(len(logits), len(self._seen(x)))
        if self._ready is None:
            self._ready = self._scores(self._seen)
        found = self._ready(x, logits)
        lowest = found.amin(dim=0, keepdim=True)
        return torch.cat([found, lowest.expand(len(logits) - len(found), -1)])

    def module(self) -> nn.Module:
        """The scores as they are now; those of a layer with the network that it is in."""
        return self._scores(self.layer.module() if self.layer else flat).cpu()

    @property
    def kept(self) -> int:
        """Numbers in the sums; of G, which is symmetric, one half."""
        size = len(self.products)
        return size * (size + 1) // 2 + sum(each.numel() for each in (*self.sums, *self.counts))

    @property
    def kept_bytes(self) -> int:
        """8 a number: sums are float64."""
        return 8 * self.kept

    def state_dict(self) -> State:
        """The sums, and which task is in training; of G the upper triangle, row by row."""
        sums = {"sums": list(self.sums), "counts": list(self.counts)}
        own = {**sums, "products": upper_of(self.products)}
        return {**own, "task": self.task, "outputs": self.outputs, "entries": self.entries}

    def load_state_dict(self, state: State) -> None:
        """Put an evidence where `state_dict` found the other."""
        if self.layer:
            self.layer.forget()
        self.task, self.outputs, self.entries = (state[n] for n in ("task", "outputs", "entries"))
        self.sums, self.counts = (
            [each.to(self.device).clone() for each in state[name]] for name in ("sums", "counts")
        )
        size = self.sums[0].shape[1] if self.sums else 0
        self.products = symmetric(state["products"].to(self.device), size)
        self._ready = None
