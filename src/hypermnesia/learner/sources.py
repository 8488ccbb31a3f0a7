"""Whatever a user calls data, as inputs by row and targets beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from hypermnesia.errors import DataError
from hypermnesia.learner.arrays import Arrays
from hypermnesia.learner.inputs import as_input, as_tensor, finite
from hypermnesia.learner.labels import listed

_SLICE = 128  # samples that are read at a time


class Source(Protocol):
    """Inputs by row."""

    def __len__(self) -> int: ...

    def read(self, rows: Tensor) -> Tensor:
        """(n, *sample) inputs of (n,) rows: floats, or int64 ids."""

    def targets(self) -> Any:
        """One target for each row, in the order of the rows, as the user gave them."""


class FromDataset:
    """Samples of a map-style data set, read from it each time they are needed.

    So its random transforms go on being random. Samples are (input, target); inputs alone will do
    to predict.

    Args:
        dataset: has a length and items.
        indices: those of its items that count; all by default.
        collate: makes a batch of a list of items, as of a `DataLoader`.
    """

    def __init__(
        self,
        dataset: Any,
        indices: Sequence[int] | None = None,
        collate: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        self._dataset, self._collate = dataset, collate or _collated
        self._indices = range(len(dataset)) if indices is None else indices

    def __len__(self) -> int:
        return len(self._indices)

    def read(self, rows: Tensor) -> Tensor:
        """(len(rows), *sample) inputs."""
        return finite(as_input(self._batch(rows.tolist())[0]))

    def targets(self) -> list[object]:
        """Read from all items, once.

        Raises:
            DataError: there are none.
        """
        found: list[object] = []
        for rows in _slices(len(self)):
            _, targets = self._batch(rows.tolist())
            if targets is None:
                raise DataError(
                    "targets are needed",
                    got="a data set of inputs only",
                    cure="let it give (input, target)",
                )
            found += listed(targets)
        return found

    def _batch(self, rows: list[int]) -> tuple[Tensor, Any]:
        batch = self._collate([self._dataset[self._indices[row]] for row in rows])
        if not isinstance(batch, tuple | list):
            batch = batch, None
        if len(batch) != 2:
            raise DataError(
                "a sample must be (input, target)",
                got=f"{len(batch)} parts",
                cure="wrap the data set so that it gives two",
            )
        inputs = as_tensor(batch[0])
        if len(inputs) != len(rows):
            raise DataError(
                "an input must be one tensor or array",
                got=f"{type(batch[0]).__name__} for {len(rows)} of them",
                cure="wrap the data set so that it is",
            )
        return inputs, batch[1]


def source_of(data: Any, y: Any = None) -> Source:
    """The source that a user's data are.

    Args:
        data: a `DataLoader` or map-style `Dataset` of (input, target), a pair of arrays or
            tensors, or inputs alone where `y` is given or nobody asks for targets.
        y: targets.

    Raises:
        DataError: it is something else.
    """
    if y is not None:
        return Arrays(data, y)
    if isinstance(data, DataLoader):
        return _from_loader(data)
    if isinstance(data, tuple) and len(data) == 2:
        return Arrays(*data)
    if isinstance(data, IterableDataset):
        raise _not_by_row(type(data).__name__)
    array = isinstance(data, Tensor | list | tuple | str | Mapping) or hasattr(data, "__array__")
    if not array and hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return FromDataset(data)
    return Arrays(data)


def slices(source: Source, rows: int = _SLICE) -> Iterator[Tensor]:
    """All inputs of a source in order, some at a time."""
    for numbers in _slices(len(source), rows):
        yield source.read(numbers)


def _from_loader(loader: DataLoader[Any]) -> FromDataset:
    """The items that one pass over a loader gives, with its way to make batches of them."""
    if isinstance(loader.dataset, IterableDataset) or loader.batch_sampler is None:
        raise _not_by_row("one that cannot")
    indices = sorted(index for batch in loader.batch_sampler for index in batch)
    return FromDataset(loader.dataset, indices, loader.collate_fn)


def _not_by_row(got: str) -> DataError:
    return DataError(
        "a data set must give its samples by number (map-style)",
        got=got,
        cure="read it into arrays, or into a Dataset with __len__ and __getitem__",
    )


def _collated(items: list[Any]) -> Any:
    """Stacked inputs and a list of targets, which stay what they are."""
    if not isinstance(items[0], tuple | list):
        return _stacked(items)
    if any(len(item) != 2 for item in items):
        return items[0]
    return _stacked([item[0] for item in items]), [item[1] for item in items]


def _stacked(inputs: list[Any]) -> Tensor:
    try:
        return torch.stack([as_tensor(x) for x in inputs])
    except (DataError, RuntimeError) as error:
        raise DataError(
            "inputs of a data set must be tensors or arrays of one shape",
            got=f"{type(inputs[0]).__name__}: {str(error).splitlines()[0]:.80}",
            cure="convert them (ToTensor), or give a DataLoader that collates them",
        ) from None


def _slices(total: int, rows: int = _SLICE) -> Iterator[Tensor]:
    yield from torch.split(torch.arange(total), rows)
