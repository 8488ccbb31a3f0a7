"""Task data as an input: a set of labelled samples gives a task's embedding.

A support set S of samples x_i with labels y_i is encoded whatever their order: features f_i of
inputs, Y of a row a sample (one-hot, or values), and

    e(S) = g Σ_c P_cᵀ z_c,   z = A F,   rows f_i of F, one row z_c for each column of Y

where the attention A (labels, samples) of a label to samples is

    ridge      A = Yᵀ (F Fᵀ + λ n I)⁻¹      z predicts labels from features
    attention  A_ci = 1/n_c for samples of class c, over √(classes present); values: Yᵀ / n

The first is the closed-form head of Bertinetto et al. 2019, "Meta-learning with differentiable
closed-form solvers" (arXiv 1805.08136), the second a deep set (Zaheer et al. 2017, arXiv
1703.06114) with attention by labels. That an encoding of a task's data can make its network:
Zhmoginov et al. 2022, "HyperTransformer" (arXiv 2201.04182).

Everything in e(S) is random or settled by the first mini-batch, and stays: trained on one task
after another, an encoder forgets what told earlier ones apart, as nobody has their data. What is
trained along the stream, and protected, is θ, which learns what to make of encodings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.errors import ConfigError, DataError, TargetError
from hypermnesia.hypernet.conditions import TaskEmbedding
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.seeding import Generators, derive_seed
from hypermnesia.settings import Positive, Width
from hypermnesia.tree import Tree


class Support(NamedTuple):
    """Labelled samples of one task: a pytree of inputs, and (n,) classes or (n, k) values."""

    x: Tree
    y: Tensor


@dataclass(frozen=True)
class SupportSettings:
    """How support sets are drawn and encoded; raises `ConfigError` for an empty range.

    Attributes:
        smallest: samples of the smallest set that training encodes.
        largest: of the largest; at most half of a mini-batch is encoded.
        features: random features of an input, where the user gives no module for them.
        pooling: how a label attends to samples: `ridge` or `attention`.
        ridge: λ, for features whose squared length is about 1.
    """

    smallest: Width = 5
    largest: Width = 64
    features: Width = 256
    pooling: Literal["ridge", "attention"] = "ridge"
    ridge: Positive = 0.05

    def __post_init__(self) -> None:
        if self.largest < self.smallest:
            rule = "support.largest must be support.smallest or more"
            raise ConfigError(rule, got=f"{self.smallest} to {self.largest}", hint="swap them")


class SupportEncoder:
    """Encodes support sets; nothing in it is trained.

    Args:
        size: E, entries of an encoding.
        settings: of features and pooling.
        module: the user's features, inputs as `tree.forward` passes them -> (n, ...); by default
            random ones (a layer of rectified units) of all entries of inputs, which are floats.
    """

    def __init__(
        self, size: int, settings: SupportSettings, module: nn.Module | None = None
    ) -> None:
        self.size, self.settings, self.module = size, settings, module
        self.seed = 0
        self.moments: dict[str, Tensor] = {}  # of what `settle` has seen
        self._made: dict[str, Tensor] = {}

    @property
    def settled(self) -> bool:
        """Whether scales are known."""
        return "gain" in self.moments

    @torch.no_grad()
    def settle(self, support: Support) -> None:
        """Take scales from samples: the encoding of all of them gets entries of about 1."""
        self.moments, self._made = {}, {}
        flat = self._flat(support.x)
        centre = flat.mean(dim=0)
        self.moments = {"centre": centre, "scale": _spread(flat - centre)}
        found = self._expanded(flat)
        middle = found.mean(dim=0)
        length = _spread(found - middle) * found.shape[1] ** 0.5
        self.moments |= {"middle": middle, "length": length, "gain": torch.ones_like(length)}
        power = self(support).square().mean().sqrt()
        self.moments["gain"] = 1 / power.clamp(min=1e-6)

    def __call__(self, support: Support) -> Float[Tensor, " E"]:
        """Encode a set of one sample or more; differentiable in real inputs."""
        features = self.features(support.x)
        rows, present = self._labels(support.y, features)
        pooled = self._attention(features, rows, support.y) @ features
        encoded: Tensor = torch.einsum("cf,cfe->e", pooled, self._projections(present, features))
        return self.moments["gain"] * encoded

    def features(self, x: Tree) -> Float[Tensor, "n F"]:
        """Return centred features whose squared length is about 1."""
        found = self._expanded(self._flat(x))
        return (found - self.moments["middle"]) / self.moments["length"]

    def _flat(self, x: Tree) -> Float[Tensor, "n D"]:
        if self.module is not None:
            with torch.no_grad():
                found = tree.output_of(tree.forward(self.module.eval(), x))
            if not isinstance(found, Tensor) or len(found) != tree.batch_size(x):
                rule = "a feature module must give a row for each sample"
                raise TargetError(rule, got=type(found).__name__, hint="wrap it")
            return found.flatten(1)
        leaves = tree.leaves(x)
        if any(not leaf.is_floating_point() for leaf in leaves):
            rule, hint = "random features are of real numbers", "give a feature module"
            raise DataError(rule, got="ids or masks", hint=hint)
        return torch.cat([leaf.flatten(1) for leaf in leaves], dim=1)

    def _expanded(self, flat: Float[Tensor, "n D"]) -> Float[Tensor, "n F"]:
        """Apply the random layer, unless features are the user's own."""
        flat = (flat - self.moments["centre"]) / self.moments["scale"]
        if self.module is not None:
            return flat
        entries, width = flat.shape[1], self.settings.features
        weight = self._random("weight", (entries, width), flat) / entries**0.5
        return F.relu(flat @ weight + self._random("bias", (width,), flat))

    def _labels(self, y: Tensor, features: Tensor) -> tuple[Float[Tensor, "n c"], list[int]]:
        """Return a row for each sample, and which labels the columns are of."""
        if y.is_floating_point():
            rows = y.reshape(len(y), -1).to(features)
            return rows, list(range(rows.shape[1]))
        present = torch.unique(y)
        return (y[:, None] == present).to(features), present.tolist()

    def _attention(self, features: Tensor, rows: Tensor, y: Tensor) -> Float[Tensor, "c n"]:
        """Return A, of the labels that are present."""
        n, labels = rows.shape
        if self.settings.pooling == "ridge":
            products = features @ features.T
            products.diagonal().add_(self.settings.ridge * n)
            solved: Tensor = torch.linalg.solve_ex(products, rows)[0]  # of numbers gone wrong too
            return solved.T
        if y.is_floating_point():
            return rows.T / n
        shares: Tensor = rows / (rows.sum(dim=0) * labels**0.5)
        return shares.T

    def _projections(self, labels: Sequence[int], like: Tensor) -> Float[Tensor, "c F E"]:
        shape = (like.shape[1], self.size)
        return torch.stack([self._random(f"label/{c}", shape, like) for c in labels])

    def _random(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Draw normal numbers, the same for a seed and a name."""
        if name not in self._made or self._made[name].dtype != like.dtype:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, name))
            self._made[name] = torch.randn(shape, generator=generator).to(like)
        return self._made[name]

    def state_dict(self) -> dict[str, Any]:
        """Return the seed of what is random, and the scales."""
        return {"seed": self.seed, "moments": dict(self.moments)}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Encode as the encoder of `state` did; the user's module is not in there."""
        self.seed, self._made = int(state["seed"]), {}
        self.moments = tree.to(dict(state["moments"]), device) if state["moments"] else {}


def _spread(x: Tensor) -> Tensor:
    return x.square().mean().sqrt().clamp(min=1e-6)


class DataCondition(TaskEmbedding):
    """Encodes a task's samples; of a task that is known it keeps one embedding, and no sample.

    A call with a `context`, a `Support` for each task, encodes it; without one it gives what is
    kept: the mean encoding of the mini-batches of the task's training (`see`). Options are
    those of `SupportSettings`, and `module`, the user's features.
    """

    def __init__(
        self,
        settings: HypernetSettings,
        device: torch.device,
        *,
        module: nn.Module | None = None,
        **support: Any,
    ) -> None:
        super().__init__(settings, device)
        self.support = SupportSettings(**support)
        self.encoder = SupportEncoder(self.size, self.support, module)
        self.seen: list[int] = []  # mini-batches in what is kept

    @property
    def kept(self) -> int:
        """The number of learned values: E a task, and the encoder's scales."""
        return super().kept + sum(each.numel() for each in self.encoder.moments.values())

    def parameters(self, task: int) -> list[nn.Parameter]:  # noqa: ARG002
        """Nothing is trained."""
        return []

    def add_task(self, generators: Generators) -> None:
        """Add an embedding, which a mini-batch replaces; the first one seeds the encoder."""
        if not self.embeddings:
            self.encoder.seed = int(torch.randint(2**62, (), generator=generators["encoder"]))
        super().add_task(generators)
        self.seen.append(0)

    def remove_task(self, task: int) -> None:
        """Drop an embedding."""
        super().remove_task(task)
        del self.seen[task]

    def copy_task(self, task: int) -> None:
        """Add a task with the embedding of another."""
        super().copy_task(task)
        self.seen.append(self.seen[task])

    def __call__(self, tasks: Sequence[int], context: Any = None) -> Float[Tensor, "n E"]:
        """Stack what is kept of some tasks or, given a `Support` for each, its encoding."""
        if context is None:
            return super().__call__(tasks)
        return torch.stack([self.encoder(support) for support in context])

    @torch.no_grad()
    def put(self, task: int, row: Float[Tensor, " E"]) -> None:
        """Let a task have another embedding."""
        self.embeddings[task].copy_(row)

    @torch.no_grad()
    def see(self, task: int, support: Support) -> None:
        """Take a mini-batch of a task into what is kept of it."""
        self.seen[task] += 1
        kept = self.embeddings[task].data
        kept.lerp_(self.encoder(support).to(kept), 1 / self.seen[task])

    def state_dict(self) -> dict[str, Any]:
        """Return the embeddings and the encoder's state."""
        own = {"seen": [*self.seen], "encoder": self.encoder.state_dict()}
        return {**super().state_dict(), **own, "support": asdict(self.support)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over embeddings and encoder; raises `ValueError` for other settings or sizes."""
        if state["support"] != asdict(self.support):
            raise ValueError(f"an encoder with {state['support']}")
        super().load_state_dict(state)
        self.seen = [*state["seen"]]
        self.encoder.load_state_dict(state["encoder"], self.device)
