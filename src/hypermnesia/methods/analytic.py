"""Analytic classifiers: sums of features alone are kept, and nothing is trained.

G = Σ f fᵀ, the sum of the features f of each class and the number of its samples are all that the
classifiers are solved from. Sums of tasks add up, so that tasks learned one after another, in any
order, give what all data at once give. In the task scenario a sample is answered among its task's
columns; G is that of all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
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
from hypermnesia.modules import copied
from hypermnesia.ridge import Products, ridge, solved_rows, symmetric, upper_of
from hypermnesia.seeding import Generators, derive_seed
from hypermnesia.settings import Integer, Positive, Share
from hypermnesia.state_files import State
from hypermnesia.tree import Tree

AT_ONCE = 256
"""Samples whose features are in memory together."""

_NEVER = -1e30  # a logit below all others

Size = Annotated[Integer, Field(ge=1, le=100_000)]
"""A number of features or filters."""


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
        kind: `relu`, max(0, R x); or `products`, (R x)(R' x), beside x itself and a 1, as of a
            polynomial of second degree: for features of a pretrained network.
    """

    width: Size = 1000
    ridge: Positive = 10.0
    kind: Literal["relu", "products"] = "relu"


_COVARIANCE, _PROJECTION = CovarianceSettings(), ProjectionSettings()


class _Entries(nn.Module):
    """(batch, D) float64 entries of inputs."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).double()


class _Sum(nn.Module):
    """(batch, 1) float64 sums of inputs: what is no number is none here."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).double().sum(dim=1, keepdim=True)


def linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    """The layer of (outputs, inputs) `weight` and (outputs,) `bias`, which nothing trains."""
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


class Analytic:
    """A linear classifier that is solved from sums of features.

    Sums are taken once a task, when it ends; a step of training only says how well the samples are
    answered by what is known of earlier tasks.
    """

    trains_on: Literal["task", "all"] = "task"
    deterministic: ClassVar[bool] = True  # whether it draws no random numbers
    second: ClassVar[bool] = True  # whether it keeps G
    at_once: int = AT_ONCE  # samples whose features are in memory together

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        generators: Generators,
        device: torch.device,
    ) -> None:
        self.scenario = Scenario(scenario)
        self.answers: tuple[ScenarioName, ...] = (scenario,)
        self.generators, self.device = generators, device
        self.target_weights = sum(p.numel() for p in network.parameters())
        self.features: nn.Module = _Entries()
        self._begin(None)

    def entries(self, shape: tuple[int, ...]) -> int:
        """D, the number of features of samples of a shape."""
        return math.prod(shape)

    @property
    def _float64(self) -> Any:
        """Of tensors of sums."""
        return {"dtype": torch.float64, "device": self.device}

    def _begin(self, shape: tuple[int, ...] | None) -> None:
        """Start sums at zero, for samples of a shape; None before any is seen."""
        self.shape = shape
        entries = 0 if shape is None else self.entries(shape)
        columns, size = self.scenario.columns, entries if self.second else 0
        self.sums = torch.zeros(columns, entries, **self._float64)
        self.counts = torch.zeros(columns, **self._float64)
        self.products = torch.zeros(size, size, **self._float64)
        self._solved: tuple[Tensor, Tensor] | None = None

    def _see(self, x: Tree) -> Tensor:
        """Inputs to learn from, whose shape the first ones set."""
        tensor = self._checked(x)
        if self.shape is None:
            self._begin(tuple(tensor.shape[1:]))
        return tensor

    def begin_task(self, spec: TaskSpec) -> None:
        """Make room for the sums of more classes, if the scenario has more."""
        self.scenario = self.scenario.add(spec.outputs)
        more = self.scenario.columns - len(self.counts)
        self.sums, self.counts = F.pad(self.sums, (0, 0, 0, more)), F.pad(self.counts, (0, more))
        self._solved = None

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
        logits = self._logits(self._see(batch.original))
        seen = self.counts > 0
        if seen.any():  # a loss that is a number, of classes that nothing is known of
            logits = logits.where(seen, logits[:, seen].amin(dim=1, keepdim=True) - 1)
        logits = logits.masked_fill(~self.scenario.active(batch.task), -torch.inf)
        labels = self.scenario.labels(batch.y, batch.task)
        return reported(loss_of(F.cross_entropy, logits, labels, batch.weight), logits, labels)

    @torch.no_grad()
    def end_task(self, batches: Iterable[Batch]) -> None:
        """Add the task's samples to the sums."""
        for batch in batches:
            parts = torch.split(self._see(batch.original), self.at_once)
            columns = self.scenario.labels(batch.y, batch.task)
            own = F.one_hot(columns, len(self.counts)).to(**self._float64)
            own = own if batch.weight is None else own * batch.weight[:, None].to(own)
            for features in self._features_of(parts):
                self._add(features, own)
        self._solved = None

    def _features_of(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """(batch, D) features of samples in parts, once or of several views of each."""
        yield torch.cat([self.features(part) for part in parts])

    def _add(self, features: Tensor, own: Tensor) -> None:
        """Add (batch, D) features to the sums, as often as (batch, columns) `own` counts them."""
        self.sums += own.T @ features
        self.counts += own.sum(dim=0)
        if self.second:
            self.products += (own.sum(dim=1) * features.T) @ features

    def _checked(self, x: Tree) -> Tensor:
        tensor: Tensor = tree.one_tensor(x, "an analytic method")
        shape = tuple(tensor.shape[1:])
        if not tensor.is_floating_point() or self.shape not in (None, shape):
            rule = f"inputs must be real numbers of the shape {self.shape or shape}"
            got = f"{shape}, {str(tensor.dtype).removeprefix('torch.')}"
            raise DataError(rule, got=got, hint="give all samples in one shape, as floats")
        return tensor

    def _logits(self, x: Tree, columns: slice = slice(None)) -> Tensor:
        network = self._network(columns)
        return torch.cat([network(part) for part in torch.split(self._checked(x), self.at_once)])

    def _network(self, columns: slice) -> nn.Sequential:
        """The features and the head of some columns; before any sample zeros, if inputs are."""
        if not self.counts.any():
            zeros = self.counts[columns].clone()
            return nn.Sequential(_Sum(), linear(zeros[:, None], zeros))
        if self._solved is None:
            weight, bias = self.solved()
            # A class without samples is never the answer.
            self._solved = weight, bias.where(self.counts > 0, _NEVER)
        weight, bias = self._solved
        return nn.Sequential(self.features, linear(weight[columns], bias[columns]))

    def solved(self) -> tuple[Tensor, Tensor]:
        """(columns, D) weights and (columns,) biases, float64; raises where no class defines it."""
        raise NotImplementedError

    @property
    def means(self) -> Tensor:
        """(columns, D) mean features; zero for a class without samples."""
        return self.sums / self.counts.where(self.counts > 0, 1)[:, None]

    @torch.no_grad()
    def predict(
        self, x: Tree, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Logits over the candidate columns of the task, or over all columns without it.

        Raises `ConfigError` if the task scenario lacks the task, or for another scenario.
        """
        columns = base.columns_asked(self, task, scenario, "a classifier with columns a task")
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
        return copied(self._network(self.scenario.candidates(task))).cpu().eval()

    @property
    def kept(self) -> int:
        """Numbers in the sums; of G, which is symmetric, one half."""
        entries = len(self.products)
        return entries * (entries + 1) // 2 + self.sums.numel() + self.counts.numel()

    @property
    def kept_bytes(self) -> int:
        """8 a number: sums are float64."""
        return 8 * self.kept

    def compression(self) -> float:
        """All that is kept / the target network."""
        return self.kept / self.target_weights

    def state_dict(self) -> State:
        """The sums; of G the upper triangle, row by row."""
        own = {"sums": self.sums, "counts": self.counts, "products": upper_of(self.products)}
        shape = None if self.shape is None else list(self.shape)
        return {"heads": list(self.scenario.heads), "shape": shape, **own}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        self.scenario = Scenario(self.scenario.name, tuple(state["heads"]))
        self._begin(None if state["shape"] is None else tuple(state["shape"]))
        self.sums, self.counts = (state[n].to(self.device).clone() for n in ("sums", "counts"))
        self.products = symmetric(state["products"].to(self.device), len(self.products))


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
    """Ridge regression on M random features max(0, R x), R standard normal; or on products.

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
        self.width, self.strength, self.kind = projection.width, projection.ridge, projection.kind
        self.seed = derive_seed(own["generators"].seed, "projection")
        super().__init__(network, scenario, **own)

    def entries(self, shape: tuple[int, ...]) -> int:
        """M, or 1 + D + M."""
        return self.width + (1 + math.prod(shape) if self.kind == "products" else 0)

    def _begin(self, shape: tuple[int, ...] | None) -> None:
        super()._begin(shape)
        if shape is not None:
            self.features = self._drawn(math.prod(shape))

    def _drawn(self, inputs: int) -> nn.Module:
        generator = torch.Generator().manual_seed(self.seed)
        if self.kind == "products":
            pairs = torch.randn(2, self.width, inputs, generator=generator) / inputs**0.5
            return nn.Sequential(nn.Flatten(), Products(pairs.to(self.device)))
        drawn = torch.randn(self.width, inputs, generator=generator).to(self.device)
        return nn.Sequential(nn.Flatten(), linear(drawn), nn.ReLU(), _Entries())

    def state_dict(self) -> State:
        """The sums and the seed of R."""
        return {**super().state_dict(), "seed": self.seed}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        self.seed = state["seed"]
        super().load_state_dict(state)
