"""Analytic classifiers: sums of features alone are kept, and nothing is trained.

G = Σ f fᵀ, the sum of the features f of each class and the number of its samples are all that the
classifiers are solved from. Sums of tasks add up, so that tasks learned one after another, in any
order, give what all data at once give. In the task scenario a sample is answered among its task's
columns; G is that of all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError, DataError
from hypermnesia.methods import base
from hypermnesia.methods.base import Prediction, TaskSpec, loss_of, reported
from hypermnesia.seeding import Generators, derive_seed
from hypermnesia.settings import Integer, Positive, Share
from hypermnesia.state_files import State
from hypermnesia.tree import Tree

AT_ONCE = 256  # samples whose features are in memory together

Size = Annotated[Integer, Field(ge=1, le=100_000)]


@dataclass(frozen=True)
class CovarianceSettings:
    """How far a covariance is shrunk.

    Attributes:
        shrinkage: share of the mean variance in it.
    """

    shrinkage: Share = 1e-4


@dataclass(frozen=True)
class ProjectionSettings:
    """The random features and the ridge regression on them.

    Attributes:
        width: M, number of features.
        ridge: λ.
    """

    width: Size = 1000
    ridge: Positive = 10.0


_COVARIANCE, _PROJECTION = CovarianceSettings(), ProjectionSettings()


def ridge(products: Tensor, sums: Tensor, strength: float) -> Tensor:
    """(k, D) W, the least Σ |y - W f|² + strength |W|² for targets y that are 1 for the class.

    W = Q (G + λ I)⁻¹ of the (D, D) `products` G of features and the (k, D) `sums` Q of each class.
    """
    return solved_rows(products + strength * torch.eye(len(products)).to(products), sums)


def solved_rows(matrix: Tensor, rows: Tensor) -> Tensor:
    """`rows` times the inverse of a symmetric matrix, its pseudo-inverse if it has none."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        inverse: Tensor = torch.linalg.pinv(matrix, hermitian=True)
        return rows @ inverse
    return torch.cholesky_solve(rows.T, factor).T


class _Head(nn.Module):
    """Logits, linear in (batch, D) features; classes without samples come last."""

    weight: Tensor
    bias: Tensor
    seen: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, seen: Tensor) -> None:
        super().__init__()
        for name, value in (("weight", weight), ("bias", bias), ("seen", seen)):
            self.register_buffer(name, value)
        self.unequal = bool(seen.any()) and not bool(seen.all())

    def among(self, columns: slice) -> _Head:
        """The head of some columns."""
        return _Head(self.weight[columns], self.bias[columns], self.seen[columns])

    def forward(self, features: Tensor) -> Tensor:
        logits = F.linear(features.double(), self.weight, self.bias)
        if self.unequal:
            last = logits.masked_fill(~self.seen, torch.inf).amin(dim=1, keepdim=True) - 1
            logits = torch.where(self.seen, logits, last)
        return logits.to(features.dtype)


class Analytic:
    """A linear classifier that is solved from sums of features.

    Sums are taken once a task, when it ends; a step of training only says how well the samples are
    answered by what is known of earlier tasks.
    """

    trains_on: Literal["task", "all"] = "task"
    deterministic: ClassVar[bool] = True  # whether it draws no random numbers
    second: ClassVar[bool] = True  # whether it keeps G

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        generators: Generators,
        device: torch.device,
        sample_shape: tuple[int, ...],
    ) -> None:
        if not isinstance(sample_shape, tuple) or not all(isinstance(n, int) for n in sample_shape):
            rule, hint = "an analytic method needs inputs that are one tensor", "use another method"
            raise ConfigError(rule, got=f"a {type(sample_shape).__name__}", hint=hint)
        self.scenario = Scenario(scenario)
        self.answers: tuple[ScenarioName, ...] = (scenario,)
        self.generators, self.device, self.shape = generators, device, tuple(sample_shape)
        self.target_weights = sum(p.numel() for p in network.parameters())
        self.features: nn.Module = nn.Flatten()
        self._empty()

    @property
    def entries(self) -> int:
        """D, the number of features of a sample."""
        return math.prod(self.shape)

    @property
    def _float64(self) -> Any:
        """Of tensors of sums."""
        return {"dtype": torch.float64, "device": self.device}

    def _empty(self) -> None:
        """Start sums at zero, without classes."""
        entries, own = self.entries, self._float64
        self.sums, self.counts = torch.zeros(0, entries, **own), torch.zeros(0, **own)
        size = (entries, entries) if self.second else (0, 0)
        self.products = torch.zeros(*size, **own)
        self._head: _Head | None = None

    def begin_task(self, spec: TaskSpec) -> None:
        """Make room for the sums of more classes, if the scenario has more."""
        self.scenario = self.scenario.add(spec.outputs)
        more = self.scenario.columns - len(self.counts)
        self.sums, self.counts = F.pad(self.sums, (0, 0, 0, more)), F.pad(self.counts, (0, more))
        self._head = None

    def continue_task(self, task: int, iterations: int) -> None:
        """Add to the sums of a task that has ended."""

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Say how well samples are answered as yet; raises for targets that are values."""
        return self._reported(batch)

    @torch.no_grad()
    def _reported(self, batch: Batch) -> dict[str, Tensor]:
        """The cross entropy among each sample's candidates, and the accuracy."""
        if batch.y.is_floating_point():
            rule = f"{type(self).__name__} learns classes"
            hint = "use hnet, finetune or si in the task scenario"
            raise ConfigError(rule, got="targets that are values", hint=hint)
        logits = self._logits(batch.original)
        logits = logits.masked_fill(~self.scenario.active(batch.task), -torch.inf)
        labels = self.scenario.labels(batch.y, batch.task)
        return reported(loss_of(F.cross_entropy, logits, labels, batch.weight), logits, labels)

    @torch.no_grad()
    def end_task(self, batches: Iterable[Batch]) -> None:
        """Add the task's samples to the sums."""
        for batch in batches:
            features = self._features(batch.original).double()
            columns = self.scenario.labels(batch.y, batch.task)
            own = F.one_hot(columns, len(self.counts)).to(features)
            own = own if batch.weight is None else own * batch.weight[:, None].to(own)
            self.sums += own.T @ features
            self.counts += own.sum(dim=0)
            if self.second:
                self.products += (own.sum(dim=1) * features.T) @ features
        self._head = None

    def _checked(self, x: Tree) -> Tensor:
        tensor: Tensor = tree.one_tensor(x, "an analytic method")
        if not tensor.is_floating_point() or tuple(tensor.shape[1:]) != self.shape:
            rule = f"inputs must be real numbers of the shape {self.shape}"
            got = f"{tuple(tensor.shape[1:])}, {str(tensor.dtype).removeprefix('torch.')}"
            raise DataError(rule, got=got, hint="give all samples in one shape, as floats")
        return tensor

    def _features(self, x: Tree) -> Tensor:
        return torch.cat([self.features(part) for part in torch.split(self._checked(x), AT_ONCE)])

    def _logits(self, x: Tree, columns: slice = slice(None)) -> Tensor:
        if not self.counts.any():  # nothing is known, but what is no number is to show
            nothing = 0 * self._checked(x).flatten(1).sum(dim=1, keepdim=True)
            return nothing.repeat(1, len(self.counts[columns]))
        found: Tensor = self.head.among(columns)(self._features(x))
        return found

    @property
    def head(self) -> _Head:
        """The classifier, solved when it is first asked for."""
        if self._head is None:
            weight, bias = self.solved()
            self._head = _Head(weight, bias, self.counts > 0)
        return self._head

    def solved(self) -> tuple[Tensor, Tensor]:
        """(columns, D) weights and (columns,) biases, float64."""
        raise NotImplementedError

    @property
    def means(self) -> Tensor:
        """(columns, D) mean features; zero for a class without samples."""
        return self.sums / self.counts.where(self.counts > 0, 1)[:, None]

    @torch.no_grad()
    def predict(
        self, x: Tree, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Logits over the candidate columns of the task, or over all columns without it."""
        base.answered(self, scenario)
        if task is None and self.scenario.name == "task":
            raise base.task_needed("a classifier with columns for each task")
        columns = slice(None) if task is None else self.scenario.candidates(task)
        return Prediction(self._logits(x, columns), None)

    @property
    def parts(self) -> dict[str, Any]:
        """The sums."""
        return {"loss": self}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The loss on held-out samples of what is known as yet."""
        return {"loss": self._reported(batch)["loss"]}

    def export(self, task: int) -> nn.Module:
        """The features and the columns among which a task is answered, on the CPU."""
        head = self.head.among(self.scenario.candidates(task))
        return nn.Sequential(self.features, head).cpu().eval()

    @property
    def kept(self) -> int:
        """Numbers in the sums; of G, which is symmetric, one half."""
        entries = len(self.products)
        return entries * (entries + 1) // 2 + self.sums.numel() + self.counts.numel()

    def compression(self) -> float:
        """All that is kept / the target network."""
        return self.kept / self.target_weights

    def state_dict(self) -> State:
        """The sums; of G the upper triangle, row by row."""
        upper = self.products[tuple(torch.triu_indices(*self.products.shape))]
        own = {"sums": self.sums, "counts": self.counts, "products": upper}
        return {"heads": list(self.scenario.heads), **own}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        self._empty()
        self.scenario = Scenario(self.scenario.name, tuple(state["heads"]))
        self.sums, self.counts = (state[n].to(self.device).clone() for n in ("sums", "counts"))
        rows, columns = torch.triu_indices(*self.products.shape)
        self.products[rows, columns] = self.products[columns, rows] = state["products"].to(
            self.device
        )


class NearestMean(Analytic):
    """The class whose mean is nearest to the input: logits -½ |x - μ_c|², but for ½ |x|²."""

    second = False

    def solved(self) -> tuple[Tensor, Tensor]:
        """The means and -½ |μ_c|²."""
        return self.means, -0.5 * self.means.square().sum(dim=1)


class Slda(Analytic):
    """Linear discriminants of class means and one covariance within classes.

    The covariance is that of all samples around the means of their classes, as of sums, where the
    source goes on with a running estimate. It is shrunk to the mean variance, where the source
    shrinks to 1, so that the scale of inputs does not matter.
    """

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        covariance: CovarianceSettings = _COVARIANCE,
        **own: Any,
    ) -> None:
        super().__init__(network, scenario, **own)
        self.shrinkage = covariance.shrinkage

    @property
    def covariance(self) -> Tensor:
        """(D, D) covariance within classes, of all samples, not shrunk."""
        return (self.products - self.sums.T @ self.means) / self.counts.sum()

    def solved(self) -> tuple[Tensor, Tensor]:
        """Σ⁻¹ μ_c and -½ μ_cᵀ Σ⁻¹ μ_c."""
        found, means = self.covariance, self.means
        # Rounding leaves no less than this of samples that do not vary.
        least = 1e-12 * (1 + self.products.diagonal().mean() / self.counts.sum())
        variance = found.diagonal().mean().clamp(min=least)
        eye = torch.eye(len(found)).to(found)
        found = (1 - self.shrinkage) * found + self.shrinkage * variance * eye
        weight = solved_rows(found, means)
        return weight, -0.5 * (weight * means).sum(dim=1)


class Ridge(Analytic):
    """Ridge regression on features: W = Q (G + λ I)⁻¹, without biases."""

    strength: float

    def solved(self) -> tuple[Tensor, Tensor]:
        """W, and no biases."""
        return ridge(self.products, self.sums, self.strength), torch.zeros_like(self.counts)


class Ranpac(Ridge):
    """Ridge regression on M random features max(0, R x), R standard normal.

    Of R, which is drawn anew from it, only the seed is kept.
    """

    deterministic = False

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        projection: ProjectionSettings = _PROJECTION,
        **own: Any,
    ) -> None:
        self.width, self.strength = projection.width, projection.ridge
        super().__init__(network, scenario, **own)
        self._draw(derive_seed(self.generators.seed, "projection"))

    def _draw(self, seed: int) -> None:
        size = (self.width, math.prod(self.shape))
        drawn = torch.randn(*size, generator=torch.Generator().manual_seed(seed))
        self.seed, layer = seed, nn.Linear(size[1], size[0], bias=False, device="meta")
        layer.weight = nn.Parameter(drawn.to(self.device), requires_grad=False)
        self.features = nn.Sequential(nn.Flatten(), layer, nn.ReLU())

    @property
    def entries(self) -> int:
        """M."""
        return self.width

    def state_dict(self) -> State:
        """The sums and the seed of R."""
        return {**super().state_dict(), "seed": self.seed}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        super().load_state_dict(state)
        if state["seed"] != self.seed:
            self._draw(state["seed"])
