"""Operations and bytes of one training iteration, counted from the sizes, line by line.

Operations: a multiplication and an addition are two. Bytes: every array that a line needs is
read once and every array that it makes is written once, at 4 bytes an entry; what is read and
written again, or kept in a cache between two lines, would shift the count up or down. With bf16
the target network's products run on 2-byte copies; the bytes of those are not counted apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from hypermnesia.hypernet.memory import WeightMemory

_ENTRY = 4  # bytes of a float32
_ADAM_OPERATIONS = 12  # two moments, two bias corrections, root, quotient, step


@dataclass(frozen=True)
class Sizes:
    """What the counts depend on.

    Attributes:
        layers: (inputs, outputs) of the target network's linear layers.
        weights: N.
        chunks: C.
        width: D.
        hidden: widths of the hypernetwork, from its input to its features (k is the last).
        batch: samples of a mini-batch.
        old_tasks: T - 1.
    """

    layers: tuple[tuple[int, int], ...]
    weights: int
    chunks: int
    width: int
    hidden: tuple[int, ...]
    batch: int
    old_tasks: int

    @classmethod
    def of(cls, memory: WeightMemory, batch: int) -> Sizes:
        """Those of the newest task of `memory`, whose target network is an MLP."""
        shapes = memory.layouts[-1].shapes.values()
        layers = tuple((s[1], s[0]) for s in shapes if len(s) == 2)
        settings, plan = memory.settings, memory.plans[-1]
        inputs = settings.task_embedding + settings.chunk_embedding
        hidden = (inputs, *settings.hidden)
        return cls(layers, plan.total, plan.count, plan.width, hidden, batch, memory.tasks - 1)

    @property
    def features(self) -> int:
        """Width k of the features."""
        return self.hidden[-1]

    @property
    def head(self) -> int:
        """Entries of the head: D (k + 1)."""
        return self.width * (self.features + 1)


@dataclass(frozen=True)
class Line:
    """A part of the iteration.

    Attributes:
        name: what it does.
        kind: `target` and `chunks` products, which bf16 speeds up, `head` products, which stay
            in float32, or `elementwise`.
        operations: floating-point operations.
        bytes: read and written.
    """

    name: str
    kind: str
    operations: int
    bytes: int


def count(sizes: Sizes) -> list[Line]:
    """The lines of an iteration in the order in which they run."""
    lines = [*_generation(sizes)[:1], *_target(sizes), *_generation(sizes)[1:]]
    if sizes.old_tasks:
        lines += _closed_form(sizes)
    # Reads θ, its gradient and both moments; writes θ and both moments.
    optimiser = Line("optimiser", "elementwise", _ADAM_OPERATIONS * sizes.head, 7 * sizes.head * 4)
    return [*lines, optimiser]


def _target(s: Sizes) -> list[Line]:
    products = [2 * s.batch * n * m for n, m in s.layers]
    activations = s.batch * sum(n + m for n, m in s.layers)
    forward = _ENTRY * (s.weights + activations)
    # Reads weights (not of the first layer), activations and slopes; writes dW and slopes.
    first = s.layers[0][0] * s.layers[0][1]
    backward = _ENTRY * (2 * s.weights - first + 3 * activations)
    return [
        Line("target forward", "target", sum(products), forward),
        Line("target backward, weights", "target", sum(products), backward),
        Line("target backward, inputs", "target", sum(products[1:]), 0),
    ]


def _generation(s: Sizes) -> list[Line]:
    product = 2 * s.chunks * s.width * s.features
    hidden = 2 * s.chunks * sum(n * m for n, m in pairwise(s.hidden))
    made = s.chunks * s.width
    return [
        Line("chunks forward", "chunks", product + hidden, _ENTRY * (s.head + made)),
        Line("chunks backward, head", "chunks", product, _ENTRY * (made + s.head)),
        Line("chunks backward, features", "chunks", product + 2 * hidden, _ENTRY * s.head),
    ]


def _closed_form(s: Sizes) -> list[Line]:
    k = s.features
    x = 2 * k + 1  # columns of X = [V - V*, b - b*, V*]
    rows = s.old_tasks * s.chunks
    hidden = 3 * 2 * rows * sum(n * m for n, m in pairwise(s.hidden))
    return [
        # Reads θ, its gradient, both moments; the rows stay in the cache for the head's products.
        Line("lookahead", "elementwise", _ADAM_OPERATIONS * s.head, 4 * s.head * _ENTRY),
        Line("head: product of X with itself", "head", 2 * s.width * (k + 1) * x, s.head * _ENTRY),
        # Reads (above) and writes the head's gradient.
        Line("head: gradient", "head", 2 * s.width * (k + 1) * x, s.head * _ENTRY),
        # In float64: three passes through the hidden layers, YᵀY and its gradient.
        Line("features of old tasks", "features", hidden + 4 * rows * x * x, 2 * 8 * rows * x),
    ]
