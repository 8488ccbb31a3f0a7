"""What the table of data kinds is made of: a kind, the plain arrays, and odd ways to hold them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

N = 24
X = (np.random.default_rng(0).integers(-8, 9, (N, 3)) / 4).astype(np.float32)
"""Numbers that every floating-point format holds exactly."""
Y = np.arange(N) % 2
BITS = (X > 0).astype(np.uint8)
BYTES = np.random.default_rng(1).integers(0, 256, (N, 3)).astype(np.uint8)
WORDS = np.array(["no", "yes"])[Y]
VALUES = X @ np.array([1.0, -2.0, 0.5])


@dataclass(frozen=True)
class DataKind:
    """A kind of data.

    Attributes:
        name: what it is.
        kind: the heading under which it stands.
        make: makes the arguments of `fit`.
        outcome: what comes of it.
        plain: the plain arrays (x, y) that it must be equal to; those of this module by default.
        told: what the refusal says (a regular expression).
        first: arguments of a fit before it, for what depends on one.
        settings: of the learner.
        learned: whether a fit can be compared; not where a sampler of the user's own draws it.
    """

    name: str
    kind: str
    make: Callable[[], tuple[Any, ...]]
    outcome: Literal["as PyTorch", "refused"] = "as PyTorch"
    plain: Callable[[], tuple[Any, Any]] = lambda: (X, Y)
    told: str = ""
    first: Callable[[], tuple[Any, ...]] | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    learned: bool = True


class Items(Dataset):
    """As torchvision's: an item is an input and a label of any kind."""

    def __init__(self, x: Any, *more: Any) -> None:
        self.x, self.more = x, more

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> Any:
        parts = [self.x[index], *(each[index] for each in self.more)]
        return tuple(parts) if self.more else parts[0]


class Stream(IterableDataset):
    """A data set without numbers."""

    def __iter__(self) -> Any:
        yield from zip(X, Y, strict=True)


class EachTwice:
    """A sampler in an order of its own, without a length."""

    def __iter__(self) -> Any:
        yield from [*range(N - 1, -1, -1), *range(N)]


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.as_tensor(X), torch.as_tensor(Y)


def dataset() -> TensorDataset:
    return TensorDataset(*tensors())


def memory_map() -> np.ndarray:
    with tempfile.TemporaryFile() as file:
        stored = np.memmap(file, np.float32, "w+", shape=X.shape)
    stored[:] = X
    return stored


def read_only(x: np.ndarray) -> np.ndarray:
    copy = x.copy()
    copy.flags.writeable = False
    return copy


def as_dict(items: list[Any]) -> dict[str, Any]:
    return {"x": torch.stack([torch.as_tensor(x) for x, _ in items])}


def padded(items: list[Any]) -> tuple[torch.Tensor, list[Any]]:
    x = torch.nn.utils.rnn.pad_sequence([x for x, _ in items], batch_first=True)
    return x, [y for _, y in items]


def arranged(order: list[int]) -> Callable[[], tuple[Any, Any]]:
    return lambda: (X[order], Y[order])


BACKWARDS = list(range(N - 1, -1, -1))
FEW = [7, 2, 11, 5, 16, 0, 9, 20]


def values() -> tuple[Any, Any]:
    return X, VALUES


def halves() -> torch.Tensor:
    return torch.as_tensor(VALUES).half()


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def replacing() -> RandomSampler:
    return RandomSampler(range(N), replacement=True, num_samples=30, generator=seeded())


def weighted() -> WeightedRandomSampler:
    return WeightedRandomSampler(1.0 + 9 * Y, 30, generator=seeded())


def whole(loader: DataLoader) -> tuple[Any, Any]:
    """What plain PyTorch draws from a loader in an epoch."""
    x, y = zip(*loader, strict=True)
    return torch.cat(x).numpy(), torch.cat(y).numpy()


def masked(x: np.ndarray) -> np.ma.MaskedArray:
    return np.ma.masked_array(x, x > 1.5)


def sparse() -> torch.Tensor:
    return torch.as_tensor(X).to_sparse()


def nested() -> torch.Tensor:
    return torch.nested.nested_tensor([torch.zeros(3), torch.zeros(2)], layout=torch.jagged)


def ragged() -> Items:
    return Items([torch.ones(3 - n % 2) for n in range(N)], Y)
