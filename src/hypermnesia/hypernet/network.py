"""The hypernetwork h(e; θ): features φ(e, c) of a condition and a chunk embedding, linear head.

von Oswald et al., "Continual learning with hypernetworks", ICLR 2020 (arXiv 1906.00695),
section 2. Full and chunked are one class: weights = [V φ(e, c_1) + b, ..., V φ(e, c_C) + b],
and a full hypernetwork is C = 1 without chunk embeddings. The head has D outputs and gives a row of
D entries for each chunk; a plan says how many at the front of each row are weights.

Initial values: Xavier-uniform as in von Oswald et al. 2020; hyperfan, which sets the spread of the
*generated* weights, as in Chang et al. 2020 ("Principled weight initialization for hypernetworks").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Annotated, Any, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from hypermnesia.errors import ConfigError
from hypermnesia.nets import blank_linear
from hypermnesia.registry import Registry
from hypermnesia.settings import Count, Name, Width, named_in

PlanName = Literal["full", "even", "layer"]
"""One chunk of everything, chunks of a size, or chunks that keep to their layer."""


@dataclass(frozen=True)
class ChunkPlan:
    """How many entries of each chunk are weights.

    Attributes:
        used: n_j, weights that chunk j makes, in the order of the flat weight vector.
        width: D, entries that the head makes for every chunk; at least max(used).
        places: (layer, number within it) of every chunk, where these have embeddings; else empty.
    """

    used: tuple[int, ...]
    width: int
    places: tuple[tuple[int, int], ...] = ()

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
    as wide as the widest (von Oswald et al. 2020, section 2, "chunk embedding" of a layer); or,
    with a width, layers cut into chunks of it, which share the layer's embedding.

    Example:
        >>> from hypermnesia.hypernet.network import make_plan
        >>> make_plan("even", layers=(6, 4), width=4)
        ChunkPlan(used=(4, 4, 2), width=4, places=())
        >>> make_plan("layer", layers=(6, 4)).used
        (6, 4)
        >>> make_plan("layer", layers=(6, 4), width=4).used
        (4, 2, 4)
    """
    total = sum(layers)
    if name == "full":
        return ChunkPlan((total,), total)
    if name == "layer" and width is None:
        return ChunkPlan(tuple(layers), max(layers))
    if name == "layer":
        return _by_layer(layers, max(1, width or 1))
    if width is None or width < 1:
        rule = "hypernet.plan=even needs the size of a chunk"
        raise ConfigError(rule, got=width, hint="set hypernet.chunk to a positive number")
    return ChunkPlan(_cut(total, width), width)


def _cut(total: int, width: int) -> tuple[int, ...]:
    whole, rest = divmod(total, width)
    return (width,) * whole + ((rest,) if rest else ())


def _by_layer(layers: Sequence[int], width: int) -> ChunkPlan:
    """Cut each layer into chunks of its own, the last of which may be shorter."""
    each = [_cut(layer, width) for layer in layers]
    places = tuple((layer, i) for layer, chunks in enumerate(each) for i in range(len(chunks)))
    return ChunkPlan(sum(each, ()), min(width, max(layers)), places)


def aligned(chunk: int, layers: Sequence[int]) -> int:
    """A size of chunks, at most `chunk`, that cuts the most usual layer into whole ones.

    Then equal layers share rows of the hypernetwork's head entry by entry, as adapters are alike.
    """
    usual = max(set(layers), key=lambda size: (layers.count(size) * size, size))
    if chunk >= usual:
        return usual * (chunk // usual)
    return math.ceil(usual / math.ceil(usual / chunk))


@torch.no_grad()
def xavier(hypernet: Hypernetwork, variances: Tensor, generator: torch.Generator) -> None:  # noqa: ARG001
    """Draw Xavier-uniform weights, with zero biases, whatever the (N,) variances wanted."""
    for layer in (*hypernet.hidden, hypernet.head):
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        if layer.bias is not None:
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
        chunk: D, weights that are generated at a time by an even plan: larger chunks, a larger
            hypernetwork. Of a plan by layers, the most entries of a chunk, whose embedding is then
            its layer's plus that of its number within the layer.
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
        if self.plan == "full" and self.chunk is not None:
            rule = f"hypernet.plan={self.plan} has no use for the size of a chunk"
            hint = "set hypernet.chunk=null"
            raise ConfigError(rule, got=f"hypernet.chunk={self.chunk}", hint=hint)
        if self.plan != "full" and self.chunk_embedding == 0:
            rule = f"hypernet.plan={self.plan} tells its chunks apart by their embeddings"
            hint = "set it to 1 or more, or hypernet.plan=full"
            raise ConfigError(rule, got="hypernet.chunk_embedding=0", hint=hint)


_TABLES = ("chunk_embeddings", "layer_embeddings", "place_embeddings")


def _rows(plan: ChunkPlan) -> tuple[int, int, int]:
    """Return how many chunks there are, how many layers have some, and how many the largest has."""
    layers, places = (max((place[i] + 1 for place in plan.places), default=0) for i in (0, 1))
    return plan.count, layers, places


class Hypernetwork(nn.Module):
    """Makes the flat weights of target networks from conditions.

    θ is everything in here, chunk embeddings included; conditions are the caller's.

    `plan` is of the first target network, whose weights want the (N,) `variances`; `grow` makes
    room for larger ones. `condition_size` is E; None for `settings.task_embedding`.

    With `from_zero` what is made are changes of given weights: a condition of 0 makes 0, exactly
    and whatever θ is, and at first every condition does, as V = 0. Features are then
    tanh(e) ⊙ φ(tanh(e), c) without a bias b behind them: where V is not 0, e moves first. Without
    hidden layers and chunks they are tanh(e).
    """

    _places: Tensor  # (C, 2) of a plan that has them

    def __init__(
        self,
        settings: HypernetSettings,
        plan: ChunkPlan,
        variances: Tensor,
        generator: torch.Generator,
        condition_size: int | None = None,
        *,
        from_zero: bool = False,
    ) -> None:
        super().__init__()
        self.settings, self.from_zero = settings, from_zero
        self.register_buffer("_places", None, persistent=False)
        self._follow(plan)
        self.condition_size = condition_size or settings.task_embedding
        chunk_width = 0 if settings.plan == "full" else settings.chunk_embedding
        widths = [self.condition_size + chunk_width, *settings.hidden]
        self.hidden = nn.ModuleList(blank_linear(n_in, n_out) for n_in, n_out in pairwise(widths))
        self.activation = ACTIVATIONS[settings.activation]()
        self.head = blank_linear(widths[-1], plan.width, bias=not from_zero)
        self.chunk_embeddings = self.layer_embeddings = self.place_embeddings = None
        if plan.places:
            # Their sums are N(0, 1), as chunk embeddings are.
            layers, places = (
                nn.Parameter(torch.randn(n, chunk_width, generator=generator) / 2**0.5)
                for n in _rows(plan)[1:]
            )
            self.layer_embeddings, self.place_embeddings = layers, places
        elif chunk_width:
            chunks = torch.randn(plan.count, chunk_width, generator=generator)
            self.chunk_embeddings = nn.Parameter(chunks)
        _INITS[settings.init](self, variances, generator)
        if from_zero:
            nn.init.zeros_(self.head.weight)

    def _follow(self, plan: ChunkPlan) -> None:
        self.plan = plan
        if plan.places:
            device = next(self.parameters(), torch.empty(0)).device
            self._places = torch.tensor(plan.places, device=device)

    def chunk_inputs(self, chunks: int | None = None) -> Float[Tensor, "C c"] | None:
        """Return the embeddings of the first `chunks` chunks; None of a full plan."""
        if self.layer_embeddings is None or self.place_embeddings is None:
            return None if self.chunk_embeddings is None else self.chunk_embeddings[:chunks]
        layers, places = self._places[:chunks].T
        return self.layer_embeddings[layers] + self.place_embeddings[places]

    def features(
        self,
        conditions: Float[Tensor, "tasks E"],
        chunks: int | None = None,
        rows: tuple[Int[Tensor, " rows"], Int[Tensor, " rows"]] | None = None,
    ) -> Float[Tensor, "*rows k"]:
        """Return φ(e, c_j) for every condition and the first `chunks` chunks (all by default).

        (tasks, C, k), or (rows, k) of `rows`: the numbers of their conditions and chunks.
        """
        if not self.from_zero:
            return self._hidden(conditions, chunks, rows)
        bounded = conditions.tanh()
        if not self.hidden and self.chunk_inputs() is None:  # linear in tanh(e)
            return bounded[:, None] if rows is None else bounded[rows[0]]
        hidden = self._hidden(bounded, chunks, rows)
        own = torch.arange(hidden.shape[-1], device=hidden.device) % self.condition_size
        return (bounded[:, None, own] if rows is None else bounded[rows[0]][:, own]) * hidden

    def _hidden(
        self, conditions: Tensor, chunks: int | None, rows: tuple[Tensor, Tensor] | None
    ) -> Float[Tensor, "*rows k"]:
        """Run the hidden layers on every condition and chunk, or on those of `rows`."""
        embeddings = self.chunk_inputs(chunks)
        if not self.hidden:
            if rows is not None:
                parts = [conditions[rows[0]]]
                return torch.cat(parts if embeddings is None else [*parts, embeddings[rows[1]]], 1)
            if embeddings is None:
                return conditions[:, None]
            each_task = conditions[:, None].expand(-1, len(embeddings), -1)
            return torch.cat([each_task, embeddings.expand(len(conditions), -1, -1)], dim=2)
        first, *rest = cast(Iterable[nn.Linear], self.hidden)
        # A task part plus a chunk part: no (tasks, C, inputs) matrix is built.
        width = self.condition_size
        hidden: Tensor = F.linear(conditions, first.weight[:, :width], first.bias)
        hidden = hidden[:, None] if rows is None else hidden[rows[0]]
        if embeddings is not None:
            of_chunks = F.linear(embeddings, first.weight[:, width:])
            hidden = hidden + (of_chunks if rows is None else of_chunks[rows[1]])
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
        bias = None if self.head.bias is None else self.head.bias[: plan.width]
        return plan.join(F.linear(features, self.head.weight[: plan.width], bias))

    @torch.no_grad()
    def grow(self, plan: ChunkPlan, variances: Tensor, generator: torch.Generator) -> None:
        """Make room for a larger target network; what exists is unchanged, bit for bit.

        New chunk embeddings and rows of the head start as those of a new hypernetwork with the same
        plan and (N,) variances would.
        """
        if self.has_room(plan):
            return
        width = self.head.out_features
        larger = plan.total > self.plan.total
        made_of = self.settings, plan, variances, generator, self.condition_size
        new = Hypernetwork(*made_of, from_zero=self.from_zero).to(self.head.weight)
        for name in _TABLES:
            if (old := getattr(self, name)) is not None and len(getattr(new, name)) > len(old):
                getattr(new, name)[: len(old)] = old
                setattr(self, name, getattr(new, name))
        if plan.width > width:
            for name, values in self.head.named_parameters():
                new.head.get_parameter(name)[:width] = values
            self.head = new.head
        kept = plan if larger else self.plan
        self._follow(replace(kept, width=self.head.out_features))

    def has_room(self, plan: ChunkPlan) -> bool:
        """Whether networks cut by a plan can be made as it is."""
        tables = zip((getattr(self, name) for name in _TABLES), _rows(plan), strict=True)
        fits = all(table is None or rows <= len(table) for table, rows in tables)
        return fits and plan.width <= self.head.out_features and plan.total <= self.plan.total

    @torch.no_grad()
    def shrink(self, plans: Sequence[ChunkPlan]) -> None:
        """Drop what none of the `plans` uses; what they make stays, bit for bit."""
        largest = max(plans, key=lambda plan: plan.total)
        width = max(plan.width for plan in plans)
        self._follow(replace(largest, width=width))
        for name, *rows in zip(_TABLES, *map(_rows, plans), strict=True):
            if (old := getattr(self, name)) is not None and max(rows) < len(old):
                setattr(self, name, nn.Parameter(old[: max(rows)].clone()))
        if width < (old := self.head).out_features:
            new = blank_linear(old.in_features, width, bias=old.bias is not None)
            self.head = new.to(old.weight)
            for name, values in old.named_parameters():
                new.get_parameter(name).copy_(values[:width])
