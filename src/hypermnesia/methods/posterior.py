"""`patch-sum`: two kinds of evidence for each class, of one bank of patches, added up.

score of a class c = w_r (W f)_c + w_g / D log N(f; μ_c, Σ_c): ridge regression of the features f of
`patches`, which tells classes apart, and a density of the features of each class, which knows what
it looks like. Errors of the two are not the same ones, so that their sum makes fewer than either.
Σ_c has r leading directions and one variance in all others: Moghaddam and Pentland 1997
("Probabilistic visual learning for object representation"), Tipping and Bishop 1999 (probabilistic
principal components). D features that depend on each other count as w_g of them. Adding up the two,
each solved from sums, is ours; a covariance a class beside that of all is kin to FeCAM (Goswami et
al. 2023, arXiv 2309.14062).

With `width`, the ridge regression is on random features of f, as of RanPAC (McDonnell et al. 2023),
which tell classes apart that f does not; with `views`, images are answered by mean features of five
places.

A class is learned in one task, whose end is when its Σ_c is found; later tasks change W alone, and
no weight: w_r and w_g are settings, chosen once on held-out samples, as samples of earlier tasks,
on which scores of all classes could be compared later, are gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.methods.analytic import Size
from hypermnesia.methods.base import Prediction, answered, of_classes, task_needed
from hypermnesia.methods.patches import Bank, Patches, check_moves
from hypermnesia.seeding import derive_seed
from hypermnesia.settings import Count, Integer, NonNegative
from hypermnesia.state_files import State
from hypermnesia.tree import Tree

_ROUNDS, _MORE = 12, 10  # of the subspace iteration, and directions beyond those wanted
_FLOOR = 1e-6  # least variance, as a share of the mean one


@dataclass(frozen=True)
class PosteriorSettings:
    """The Gaussians of classes, and what each kind of evidence counts.

    Attributes:
        width: M, random features max(0, R (f - μ)) that the ridge regression is on, as of `ranpac`;
            0 for the features f themselves. Of R the seed is kept; μ is a mean of the first task.
        views: pixels by which an image is moved in the four directions to be answered: f is the
            mean over all five. 0 for the image as it is.
        rank: r, directions in which a class has variances of its own.
        ridge: w_r, weight of the ridge regression.
        density: w_g, weight of log densities, of which the mean over features is taken; 0 for no
            Gaussians.
    """

    width: Annotated[Integer, Field(ge=0, le=100_000)] = 0
    views: Count = 0
    rank: Size = 40
    ridge: NonNegative = 5.0
    density: NonNegative = 4.0


def leading(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(rank,) largest eigenvalues of a symmetric (D, D) matrix, and (rank, D) their vectors.

    By subspace iteration, whose start is drawn from a seed of its own.
    """
    size = len(matrix)
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(size, min(size, rank + _MORE), generator=generator, dtype=torch.float64)
    basis = torch.linalg.qr(start.to(matrix)).Q
    for _ in range(_ROUNDS):
        basis = torch.linalg.qr(matrix @ basis).Q
    values, vectors = torch.linalg.eigh(basis.T @ matrix @ basis)
    return values.flip(0)[:rank], (basis @ vectors).T.flip(0)[:rank]


class _Views(nn.Module):
    """(batch, D) mean features of images as they are, moved by pixels and, if so, mirrored."""

    def __init__(self, bank: Bank, by: int) -> None:
        super().__init__()
        self.bank, self.by = bank, by

    def forward(self, x: Tensor) -> Tensor:
        return self.bank.mean(x, self.by)


class _Random(nn.Module):
    """(batch, M) max(0, R (f - centre)) of (batch, D) features f."""

    matrix: Tensor
    centre: Tensor

    def __init__(self, matrix: Tensor, centre: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)
        self.register_buffer("centre", centre)

    def forward(self, f: Tensor) -> Tensor:
        found = (f - self.centre).to(self.matrix.dtype) @ self.matrix.T
        return found.relu().double()


class _Scores(nn.Module):
    """(batch, classes) scores of (batch, D) features; see the module."""

    mean: Tensor
    basis: Tensor
    gain: Tensor
    scale: Tensor
    at_mean: Tensor

    def __init__(
        self, head: nn.Module, settings: PosteriorSettings, mean: Tensor, of: dict[str, Tensor]
    ) -> None:
        """`of`: (classes, r, D) `basis`, (classes, r) `variances`, (classes,) `rest`."""
        super().__init__()
        self.head, self.settings = head, settings
        variances, rest, entries = of["variances"], of["rest"], mean.shape[1]
        other = entries - variances.shape[1]
        log_det = variances.log().sum(dim=1) + other * rest.log()
        self.register_buffer("mean", mean)
        self.register_buffer("basis", of["basis"].to(mean))
        self.register_buffer("gain", 1 / rest[:, None] - 1 / variances)
        self.register_buffer("scale", rest)
        self.register_buffer("at_mean", -0.5 * log_det)

    def forward(self, f: Tensor) -> Tensor:
        squares = torch.cdist(f, self.mean, compute_mode="donot_use_mm_for_euclid_dist").square()
        at_mean = (self.basis @ self.mean[..., None])[..., 0]
        own = torch.einsum("bd,crd->bcr", f, self.basis) - at_mean
        within = (own.square() * self.gain).sum(dim=2)
        density = self.at_mean - 0.5 * (squares / self.scale - within)
        weight = self.settings.density / f.shape[1]
        found: Tensor = self.settings.ridge * self.head(f) + weight * density
        return found


_PATCH_SUM = PosteriorSettings()


class PatchPosterior(Patches):
    """Ridge regression and a Gaussian a class, on one bank of patches; trained once for all.

    While a task ends, a (D, D) matrix for each of its classes is in memory.
    """

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        posterior: PosteriorSettings = _PATCH_SUM,
        **own: Any,
    ) -> None:
        self.posterior = posterior
        self.seed = derive_seed(own["generators"].seed, "posterior")
        super().__init__(network, scenario, **own)
        self.answers = ("task", "domain", "class")

    def entries(self, shape: tuple[int, ...]) -> int:
        """M, or D where there are no random features."""
        check_moves("posterior.views", self.posterior.views, shape)
        return self.posterior.width or super().entries(shape)

    def _begin(self, shape: tuple[int, ...] | None) -> None:
        super()._begin(shape)
        columns, entries = len(self.sums), 0 if shape is None else super().entries(shape)
        self.random: _Random | None = None
        # Σ f of each class, where `sums` are of random features.
        self.firsts = torch.zeros(columns, entries if self.posterior.width else 0, **self._float64)
        if self.posterior.width and entries:
            self._draw(torch.zeros(entries, **self._float64))
        rank = min(self.posterior.rank, entries) if self.posterior.density else 0
        self.gaussians = {
            "basis": torch.zeros(columns, rank, entries, device=self.device),
            "variances": torch.ones(columns, rank, **self._float64),
            "rest": torch.ones(columns, **self._float64),
        }
        self._own: dict[int, Tensor] = {}  # Σ f fᵀ of the classes of a task that ends

    def _draw(self, centre: Tensor) -> None:
        """Draw R anew from its seed."""
        generator = torch.Generator().manual_seed(self.seed)
        drawn = torch.randn(self.posterior.width, len(centre), generator=generator)
        self.random = _Random((drawn / len(centre) ** 0.5).to(self.device), centre)

    @property
    def class_means(self) -> Tensor:
        """(columns, D) mean features of the bank; zero for a class without samples."""
        sums = self.firsts if self.posterior.width else self.sums
        return sums / self.counts.where(self.counts > 0, 1)[:, None]

    def begin_task(self, spec: TaskSpec) -> None:
        """Make room for the sums and the Gaussians of more classes."""
        before = len(self.counts)
        super().begin_task(spec)
        more = len(self.counts) - before
        for name, value in self.gaussians.items():
            room = value.new_full((more, *value.shape[1:]), float(name != "basis"))
            self.gaussians[name] = torch.cat([value, room])
        self.firsts = F.pad(self.firsts, (0, 0, 0, more))

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Add the task's samples to the sums, and find the Gaussians of its classes."""
        super().end_task(batches)
        for column, products in self._own.items():
            self._fit(column, products)
        self._own = {}

    def _add(self, features: Tensor, own: Tensor) -> None:
        for column in self._with_density(own):
            if column not in self._own:
                self._own[column] = self._products_of(column)
            rows = own[:, column].nonzero().squeeze(1)
            some = features[rows]
            self._own[column] += (own[rows, column] * some.T) @ some
        if self.random is None:
            super()._add(features, own)
            return
        if not self.random.centre.any():
            self.random.centre = features.mean(dim=0)
        self.firsts += own.T @ features
        super()._add(self.random(features), own)

    def _with_density(self, own: Tensor) -> list[int]:
        """Columns of the samples' classes, if densities count."""
        present = own.sum(dim=0) > 0
        return present.nonzero().squeeze(1).tolist() if self.posterior.density else []

    def _products_of(self, column: int) -> Tensor:
        """(D, D) Σ f fᵀ of a class so far, as its Gaussian has it."""
        mean, count = self.class_means[column], self.counts[column]
        if not count:
            return torch.zeros(len(mean), len(mean), **self._float64)
        basis, rest = self.gaussians["basis"][column].double(), self.gaussians["rest"][column]
        above = self.gaussians["variances"][column] - rest
        around = basis.T * above @ basis + rest * torch.eye(len(mean), **self._float64)
        return count * (around + torch.outer(mean, mean))

    def _fit(self, column: int, products: Tensor) -> None:
        mean, rank = self.class_means[column], self.gaussians["variances"].shape[1]
        covariance = products / self.counts[column] - torch.outer(mean, mean)
        values, vectors = leading(covariance, rank)
        total, others = covariance.trace().clamp(min=0), len(mean) - rank
        # Rounding leaves no less than this of features that do not vary.
        floor = _FLOOR * total / len(mean) + 1e-12 * (1 + mean.square().mean())
        rest = (total - values.sum()) / max(1, others)
        self.gaussians["basis"][column] = vectors.float()
        self.gaussians["variances"][column] = values.clamp(min=floor)
        self.gaussians["rest"][column] = rest.clamp(min=floor)

    def _network(self, columns: slice) -> nn.Sequential:
        network = super()._network(columns)
        if not self.counts.any():
            return network
        if self.posterior.views and self.bank is not None:
            network[0] = _Views(self.bank, self.posterior.views)
        own = {name: value[columns] for name, value in self.gaussians.items()}
        head = network[1] if self.random is None else nn.Sequential(self.random, network[1])
        return nn.Sequential(
            network[0], _Scores(head, self.posterior, self.class_means[columns], own)
        )

    @torch.no_grad()
    def predict(
        self, x: Tree, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Scores of the classes of the task, of all or, in the domain scenario, of their labels.

        Raises `ConfigError` if the task scenario lacks the task.
        """
        chosen = answered(self, scenario)
        if chosen.name == "task" and task is None:
            raise task_needed("patch-sum in the task scenario")
        own = slice(None) if task is None else self.scenario.named("task").candidates(task)
        return of_classes(chosen, self._logits(x, own), task)

    @torch.no_grad()
    def scores(self, x: Tree) -> Tensor:
        """(batch, classes) float64 scores of all classes."""
        return self._logits(x)

    @property
    def kept(self) -> int:
        """Numbers in the sums, of the filters and of the Gaussians."""
        own = sum(value.numel() for value in self.gaussians.values())
        centre = 0 if self.random is None else self.random.centre.numel()
        return super().kept + own + self.firsts.numel() + centre

    @property
    def kept_bytes(self) -> int:
        """8 a number in sums and of variances, 4 of filters and directions."""
        centre = 0 if self.random is None else self.random.centre.nbytes
        own = sum(value.nbytes for value in self.gaussians.values())
        return super().kept_bytes + own + self.firsts.nbytes + centre

    def state_dict(self) -> State:
        """As of `patches`, and the Gaussians."""
        centre = None if self.random is None else self.random.centre
        own = {"gaussians": dict(self.gaussians), "firsts": self.firsts}
        return {**super().state_dict(), **own, "seed": self.seed, "centre": centre}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        self.seed = state["seed"]
        super().load_state_dict(state)
        self.firsts = state["firsts"].to(self.device).clone()
        if state["centre"] is not None:
            self._draw(state["centre"].to(self.device).clone())
        self.gaussians = {n: v.to(self.device).clone() for n, v in state["gaussians"].items()}
