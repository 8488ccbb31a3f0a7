"""The hypernetwork h(e; θ): features φ(e, c) of a condition and a chunk embedding, linear head.

von Oswald et al., "Continual learning with hypernetworks", ICLR 2020 (arXiv 1906.00695),
section 2. Full and chunked are one class: weights = [V φ(e, c_1) + b, ..., V φ(e, c_C) + b],
and a full hypernetwork is C = 1 without chunk embeddings. The head has D outputs and gives a row of
D entries for each chunk; a plan says how many at the front of each row are weights.

Initial values: Xavier-uniform as in von Oswald et al. 2020; hyperfan, which sets the spread of the
*generated* weights, as in Chang et al. 2020 ("Principled weight initialization for hypernetworks").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hypermnesia.errors import ConfigError
from hypermnesia.nets import blank_linear
from hypermnesia.registry import Registry
from hypermnesia.settings import Count, Name, Width, named_in

PlanName = Literal["full", "even", "layer"]
"""One chunk of everything, chunks of a size, or a chunk a layer."""


@dataclass(frozen=True)
class ChunkPlan:
    """How many entries of each chunk are weights.

    Attributes:
        used: n_j, weights that chunk j makes, in the order of the flat weight vector.
        width: D, entries that the head makes for every chunk; at least max(used).
    """

    used: tuple[int, ...]
    width: int

    @property
    def count(self) -> int:
        """The number of chunks, C."""
        return len(self.used)

    @property
    def total(self) -> int:
        """The number of weights of the target network, N."""
        return sum(self.used)

    def join(self, chunks: Float[Tensor, "tasks C D"]) -> Float[Tensor, "tasks N"]:
        """Join all chunks of each task to flat weights; D may exceed the plan's width."""
        if all(n == chunks.shape[-1] for n in self.used[:-1]):
            return chunks.flatten(1)[:, : self.total]
        return torch.cat([chunks[:, j, :n] for j, n in enumerate(self.used)], dim=1)


def make_plan(name: PlanName, layers: Sequence[int], width: int | None = None) -> ChunkPlan:
    """Make the plan for a target network whose `layers` have so many weights each.

    `full`: one chunk makes all. `even`: chunks of D = `width` entries, which may run across layers,
    and a shorter last one; raises `ConfigError` without a width. `layer`: a chunk for each layer,
    as wide as the widest (von Oswald et al. 2020, section 2, "chunk embedding" of a layer).

    Example:
        >>> from hypermnesia.hypernet.network import make_plan
        >>> make_plan("even", layers=(6, 4), width=4)
        ChunkPlan(used=(4, 4, 2), width=4)
        >>> make_plan("layer", layers=(6, 4))
        ChunkPlan(used=(6, 4), width=6)
    """
    total = sum(layers)
    if name == "full":
        return ChunkPlan((total,), total)
    if name == "layer":
        return ChunkPlan(tuple(layers), max(layers))
    if width is None or width < 1:
        rule = "hypernet.plan=even needs the size of a chunk"
        raise ConfigError(rule, got=width, hint="set hypernet.chunk to a positive number")
    whole, rest = divmod(total, width)
    return ChunkPlan((width,) * whole + ((rest,) if rest else ()), width)


@torch.no_grad()
def xavier(hypernet: Hypernetwork, variances: Tensor, generator: torch.Generator) -> None:  # noqa: ARG001
    """Draw Xavier-uniform weights, with zero biases, whatever the (N,) variances wanted."""
    for layer in (*hypernet.hidden, hypernet.head):
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)


@torch.no_grad()
def hyperfan(hypernet: Hypernetwork, variances: Tensor, generator: torch.Generator) -> None:
    """Let generated weights start with the variance that the target network's layers want.

    A generated weight is v · φ + b with independent entries of v, so Var(v) = Var(weight) /
    (k E[φ²]) (Chang et al. 2020, equations for hyperfan-in). E[φ²] is measured on embeddings
    drawn as they start, N(0, 1). This is exact for a full plan; a row of the head that serves
    several chunks gets the mean of the (N,) variances that they want.
    """
    xavier(hypernet, variances, generator)
    plan = hypernet.plan
    wanted, makes = torch.zeros(plan.width), torch.zeros(plan.width)
    for n, chunk in zip(plan.used, torch.split(variances, list(plan.used)), strict=True):
        wanted[:n] += chunk
        makes[:n] += 1
    conditions = torch.randn(64, hypernet.condition_size, generator=generator)
    features = hypernet.features(conditions.to(hypernet.head.weight))
    power = features.square().mean().item() * hypernet.head.in_features
    std = (wanted / makes.clamp(min=1) / power).sqrt().to(hypernet.head.weight)
    noise = torch.randn(hypernet.head.weight.shape, generator=generator)
    hypernet.head.weight.copy_(noise.to(std) * std[:, None])


_INITS = {"xavier": xavier, "hyperfan": hyperfan}

ACTIVATIONS: Registry[type[nn.Module]] = Registry("activation")
"""Every activation, by name."""

for _kind in (nn.ReLU, nn.ELU, nn.Sigmoid, nn.Tanh):
    ACTIVATIONS.add(_kind.__name__.lower(), _kind)


@dataclass(frozen=True)
class HypernetSettings:
    """Sizes of a hypernetwork; raises `ConfigError` where those of chunks do not fit the plan.

    Attributes:
        hidden: widths of the hidden layers; none for a linear hypernetwork.
        task_embedding: entries of a task embedding.
        chunk_embedding: entries of a chunk embedding; not used by a full plan.
        chunk: D of an even plan.
        embedding_start: of a new task: `normal`, drawn from N(0, 1); the `mean` of the earlier
            ones, so that its network starts like theirs; or the `nearest`, whose network has the
            least loss on the task's first mini-batch (of autoencoders: drawn).
        condition: a name in `hypermnesia.hypernet.conditions.CONDITIONS`.
        condition_options: further keyword arguments of that condition.
    """

    hidden: tuple[Width, ...] = (10, 10)
    task_embedding: Width = 32
    chunk_embedding: Count = 32
    activation: Annotated[Name, named_in(ACTIVATIONS)] = "relu"
    init: Literal["xavier", "hyperfan"] = "xavier"
    plan: PlanName = "even"
    chunk: Width | None = None
    embedding_start: Literal["normal", "mean", "nearest"] = "normal"
    condition: Name = "embedding"
    condition_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.plan != "even" and self.chunk is not None:
            rule = f"hypernet.plan={self.plan} has no use for the size of a chunk"
            hint = "set hypernet.chunk=null"
            raise ConfigError(rule, got=f"hypernet.chunk={self.chunk}", hint=hint)
        if self.plan != "full" and self.chunk_embedding == 0:
            rule = f"hypernet.plan={self.plan} tells its chunks apart by their embeddings"
            hint = "set it to 1 or more, or hypernet.plan=full"
            raise ConfigError(rule, got="hypernet.chunk_embedding=0", hint=hint)


class Hypernetwork(nn.Module):
    """Makes the flat weights of target networks from conditions.

    θ is everything in here, chunk embeddings included; conditions are the caller's.

    `plan` is of the first target network, whose weights want the (N,) `variances`; `grow` makes
    room for larger ones. `condition_size` is E; None for `settings.task_embedding`.
    """

    def __init__(
        self,
        settings: HypernetSettings,
        plan: ChunkPlan,
        variances: Tensor,
        generator: torch.Generator,
        condition_size: int | None = None,
    ) -> None:
        super().__init__()
        self.settings, self.plan = settings, plan
        self.condition_size = condition_size or settings.task_embedding
        chunk_width = 0 if settings.plan == "full" else settings.chunk_embedding
        widths = [self.condition_size + chunk_width, *settings.hidden]
        self.hidden = nn.ModuleList(blank_linear(n_in, n_out) for n_in, n_out in pairwise(widths))
        self.activation = ACTIVATIONS[settings.activation]()
        self.head = blank_linear(widths[-1], plan.width)
        chunks = torch.randn(plan.count, chunk_width, generator=generator)
        self.chunk_embeddings = nn.Parameter(chunks) if chunk_width else None
        _INITS[settings.init](self, variances, generator)

    def features(
        self, conditions: Float[Tensor, "tasks E"], chunks: int | None = None
    ) -> Float[Tensor, "tasks C k"]:
        """Return φ(e, c_j) for every condition and the first `chunks` chunks (all by default)."""
        embeddings = None if self.chunk_embeddings is None else self.chunk_embeddings[:chunks]
        if not self.hidden:
            if embeddings is None:
                return conditions[:, None]
            each_task = conditions[:, None].expand(-1, len(embeddings), -1)
            return torch.cat([each_task, embeddings.expand(len(conditions), -1, -1)], dim=2)
        first, *rest = cast(Iterable[nn.Linear], self.hidden)
        # A task part plus a chunk part: no (tasks, C, inputs) matrix is built.
        width = self.condition_size
        hidden: Tensor = F.linear(conditions, first.weight[:, :width], first.bias)[:, None]
        if embeddings is not None:
            hidden = hidden + F.linear(embeddings, first.weight[:, width:])
        hidden = self.activation(hidden)
        for layer in rest:
            hidden = self.activation(layer(hidden))
        return hidden

    def forward(
        self, conditions: Float[Tensor, "tasks E"], plan: ChunkPlan | None = None
    ) -> Float[Tensor, "tasks N"]:
        """Make flat weights for every condition, cut by a `plan` that `grow` has made room for."""
        plan = plan or self.plan
        features = self.features(conditions, plan.count)
        if plan.width == self.head.out_features:
            return plan.join(self.head(features))
        weight, bias = self.head.weight[: plan.width], self.head.bias[: plan.width]
        return plan.join(F.linear(features, weight, bias))

    @torch.no_grad()
    def grow(self, plan: ChunkPlan, variances: Tensor, generator: torch.Generator) -> None:
        """Make room for a larger target network; what exists is unchanged, bit for bit.

        New chunk embeddings and rows of the head start as those of a new hypernetwork with the same
        plan and (N,) variances would.
        """
        if self.has_room(plan):
            return
        chunks, width = self._chunks, self.head.out_features
        larger = plan.total > self.plan.total
        new = Hypernetwork(self.settings, plan, variances, generator, self.condition_size)
        new.to(self.head.weight)
        if plan.count > chunks:
            assert self.chunk_embeddings is not None and new.chunk_embeddings is not None  # noqa: S101, PT018
            new.chunk_embeddings[:chunks] = self.chunk_embeddings
            self.chunk_embeddings = new.chunk_embeddings
        if plan.width > width:
            new.head.weight[:width] = self.head.weight
            new.head.bias[:width] = self.head.bias
            self.head = new.head
        used = plan.used if larger else self.plan.used
        self.plan = ChunkPlan(used, self.head.out_features)

    def has_room(self, plan: ChunkPlan) -> bool:
        """Whether networks cut by a plan can be made as it is."""
        fits = plan.count <= self._chunks and plan.width <= self.head.out_features
        return fits and plan.total <= self.plan.total

    @property
    def _chunks(self) -> int:
        """How many chunks there is room for: a plan of more weights may have fewer."""
        return 1 if self.chunk_embeddings is None else len(self.chunk_embeddings)

    @torch.no_grad()
    def shrink(self, plans: Sequence[ChunkPlan]) -> None:
        """Drop what none of the `plans` uses; what they make stays, bit for bit."""
        largest = max(plans, key=lambda plan: plan.total)
        count, width = max(plan.count for plan in plans), max(plan.width for plan in plans)
        self.plan = ChunkPlan(largest.used, width)
        if self.chunk_embeddings is not None and count < self._chunks:
            self.chunk_embeddings = nn.Parameter(self.chunk_embeddings[:count].clone())
        if width < (old := self.head).out_features:
            self.head = blank_linear(old.in_features, width).to(old.weight)
            self.head.weight.copy_(old.weight[:width])
            self.head.bias.copy_(old.bias[:width])
