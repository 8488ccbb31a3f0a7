"""The hypernetwork h(e; θ): features φ(e, c) of a condition and a chunk embedding, linear head.

von Oswald et al., "Continual learning with hypernetworks", ICLR 2020 (arXiv 1906.00695),
section 2. Full and chunked are one class: weights = [V φ(e, c_1) + b, ..., V φ(e, c_C) + b],
and a full hypernetwork is C = 1 without chunk embeddings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hypermnesia.heads import blank_linear
from hypermnesia.hypernet.chunks import ChunkPlan, PlanName
from hypermnesia.hypernet.init import INITS
from hypermnesia.registry import Registry

ACTIVATIONS: Registry[type[nn.Module]] = Registry("activation")
"""Every activation, by name."""

for _kind in (nn.ReLU, nn.ELU, nn.Sigmoid, nn.Tanh):
    ACTIVATIONS.add(_kind.__name__.lower(), _kind)


@dataclass(frozen=True)
class HypernetSettings:
    """Sizes of a hypernetwork.

    Attributes:
        hidden: widths of the hidden layers; none for a linear hypernetwork.
        task_embedding: entries of a task embedding (of any condition).
        chunk_embedding: entries of a chunk embedding; not used by a full plan.
        activation: a name in `ACTIVATIONS`.
        init: a name in `INITS`.
        plan: how weights are cut into chunks.
        chunk: D of an even plan.
        embedding_start: where the embedding of a new task starts: `normal`, drawn from N(0, 1); or
            `mean`, that of the earlier ones, so that its network starts like theirs.
    """

    hidden: tuple[int, ...] = (10, 10)
    task_embedding: int = 32
    chunk_embedding: int = 32
    activation: str = "relu"
    init: Literal["xavier", "hyperfan"] = "xavier"
    plan: PlanName = "even"
    chunk: int | None = None
    embedding_start: Literal["normal", "mean"] = "normal"


class Hypernetwork(nn.Module):
    """Makes the flat weights of target networks from conditions.

    What the condition is - a learned task embedding, noise, something inferred from data - is
    the caller's; θ is everything in here, chunk embeddings included.

    Args:
        settings: sizes.
        plan: chunks of the first target network; `grow` makes room for larger ones.
        variances: (N,) variance that each weight of the target network wants (for hyperfan).
        generator: source of the initial values.
    """

    def __init__(
        self,
        settings: HypernetSettings,
        plan: ChunkPlan,
        variances: Tensor,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.settings, self.plan = settings, plan
        chunk_width = 0 if settings.plan == "full" else settings.chunk_embedding
        widths = [settings.task_embedding + chunk_width, *settings.hidden]
        self.hidden = nn.ModuleList(blank_linear(n_in, n_out) for n_in, n_out in pairwise(widths))
        self.activation = ACTIVATIONS[settings.activation]()
        self.head = blank_linear(widths[-1], plan.width)
        chunks = torch.randn(plan.count, chunk_width, generator=generator)
        self.chunk_embeddings = nn.Parameter(chunks) if chunk_width else None
        INITS[settings.init](self, variances, generator)

    def features(
        self, conditions: Float[Tensor, "tasks E"], chunks: int | None = None
    ) -> Float[Tensor, "tasks C k"]:
        """φ(e, c_j) for every condition and the first `chunks` chunks (all by default)."""
        if not self.hidden:
            return self._inputs(conditions, chunks)
        first, *rest = cast(Iterable[nn.Linear], self.hidden)
        hidden: Tensor = self.activation(self._first_layer(first, conditions, chunks))
        for layer in rest:
            hidden = self.activation(layer(hidden))
        return hidden

    def _inputs(self, conditions: Tensor, chunks: int | None) -> Tensor:
        if self.chunk_embeddings is None:
            return conditions[:, None]
        embeddings = self.chunk_embeddings[:chunks]
        each_task = conditions[:, None].expand(-1, len(embeddings), -1)
        return torch.cat([each_task, embeddings.expand(len(conditions), -1, -1)], dim=2)

    def _first_layer(self, layer: nn.Linear, conditions: Tensor, chunks: int | None) -> Tensor:
        # A task part plus a chunk part: no (tasks, C, inputs) matrix is built.
        width = self.settings.task_embedding
        from_task = F.linear(conditions, layer.weight[:, :width], layer.bias)[:, None]
        if self.chunk_embeddings is None:
            return from_task
        return from_task + F.linear(self.chunk_embeddings[:chunks], layer.weight[:, width:])

    def forward(
        self, conditions: Float[Tensor, "tasks E"], plan: ChunkPlan | None = None
    ) -> Float[Tensor, "tasks N"]:
        """Flat weights for every condition, cut by `plan` (the hypernetwork's own by default).

        Args:
            conditions: (tasks, E) task embeddings or whatever else conditions the weights.
            plan: a plan that `grow` has made room for.
        """
        plan = plan or self.plan
        features = self.features(conditions, plan.count)
        if plan.width == self.head.out_features:
            return plan.join(self.head(features))
        weight, bias = self.head.weight[: plan.width], self.head.bias[: plan.width]
        return plan.join(F.linear(features, weight, bias))

    @torch.no_grad()
    def grow(self, plan: ChunkPlan, variances: Tensor, generator: torch.Generator) -> None:
        """Make room for a larger target network; what exists is unchanged, bit for bit.

        New chunk embeddings and rows of the head start as those of a new hypernetwork would.

        Args:
            plan: chunks of the target network to come.
            variances: (N,) variance that each of its weights wants (for hyperfan).
            generator: source of the initial values.
        """
        if plan.total <= self.plan.total:
            return
        new = Hypernetwork(self.settings, plan, variances, generator).to(self.head.weight)
        if self.chunk_embeddings is not None and new.chunk_embeddings is not None:
            new.chunk_embeddings[: self.plan.count] = self.chunk_embeddings
            self.chunk_embeddings = new.chunk_embeddings
        if plan.width > self.plan.width:
            new.head.weight[: self.plan.width] = self.head.weight
            new.head.bias[: self.plan.width] = self.head.bias
            self.head = new.head
        self.plan = ChunkPlan(plan.used, self.head.out_features)
