"""Whatever a user calls data, as inputs by row and targets beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from hypermnesia.data.types import Batch, hold_out
from hypermnesia.errors import DataError
from hypermnesia.learner.targets import listed

_ROUND = (torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32)


def as_input(x: Tensor) -> Tensor:
    """The (n, ...) inputs of a network: bytes in [0, 1], int64 ids or floats; or raises."""
    if x.is_complex():
        raise DataError("inputs must be real", got=str(x.dtype), hint="split them into two parts")
    if x.dtype == torch.uint8:
        return x.to(torch.get_default_dtype()) / 255
    if x.dtype in (*_ROUND, torch.int64):
        return x.to(torch.int64)
    return x.to(torch.get_default_dtype())


def as_tensor(x: Any) -> Tensor:
    """(n, ...) numbers of any kind, on the CPU; raises `DataError` for other things."""
    if isinstance(x, Tensor):
        return x.detach().cpu()
    rule = "inputs must be numbers"
    hint = "give an array or tensor of them, a tuple (x, y), a Dataset or a DataLoader"
    try:
        array = np.asarray(x)
    except (TypeError, ValueError):
        got = f"a {type(x).__name__} of parts of different shapes"
        raise DataError(rule, got=got, hint=hint) from None
    widest = 16 if array.dtype.kind == "c" else 8
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > widest:
        raise DataError(rule, got=f"a {type(x).__name__} of {array.dtype.name}", hint=hint)
    # Bytes in the machine's order, rows one after another, as torch wants them.
    return torch.as_tensor(np.asarray(array, array.dtype.newbyteorder("="), order="C"))


def finite(x: Tensor) -> Tensor:
    """The inputs `x`, (n, ...); raises `DataError` for NaN or infinity."""
    if x.is_floating_point() and not torch.isfinite(x).all():
        hint = "drop or fill in such samples"
        raise DataError("inputs must be finite", got="NaN or infinity", hint=hint)
    return x


class Arrays:
    """(n, *sample) inputs in memory, and n targets, if any; raises `DataError` for a misfit."""

    def __init__(self, x: Any, y: Any = None) -> None:
        given = as_tensor(x)
        self._x = given if given.dtype == torch.uint8 else as_input(given)
        y = y.detach().cpu() if isinstance(y, Tensor) else y
        self._y = np.asarray(y) if hasattr(y, "__array__") else y
        if self._x.ndim == 0:
            rule = "inputs must be of shape (n, ...)"
            raise DataError(rule, got="a single number", hint="give a row a sample")
        if y is not None and _length(self._y) != len(self._x):
            got = f"{tuple(self._x.shape)} inputs, {_length(self._y)} targets"
            raise DataError("there must be a target for each input", got=got, hint="give as many")
        if 0 in self._x.shape[1:]:
            raise DataError("a sample must hold numbers", got=f"shape {tuple(self._x.shape)}")
        finite(self._x)

    def __len__(self) -> int:
        return len(self._x)

    def read(self, rows: Tensor) -> Tensor:
        """(len(rows), *sample) inputs."""
        return as_input(self._x.index_select(0, rows))

    def targets(self) -> Any:
        """As they were given; raises `DataError` if there are none."""
        if self._y is None:
            raise DataError("targets are needed", got="inputs only", hint="give (x, y)")
        return self._y


def _length(y: Any) -> int:
    try:
        return len(y)
    except TypeError:
        got = f"a single {type(y).__name__}"
        raise DataError("targets must be a sequence", got=got, hint="give [y]") from None


_SLICE = 128  # samples that are read at a time


class Source(Protocol):
    """Inputs by row."""

    def __len__(self) -> int: ...

    def read(self, rows: Tensor) -> Tensor:
        """(n, *sample) inputs of (n,) rows: floats, or int64 ids."""

    def targets(self) -> Any:
        """One target for each row, in the order of the rows, as the user gave them."""


class FromDataset:
    """Samples (input, target) of a map-style data set; inputs alone will do to predict.

    They are read each time they are needed, so that random transforms go on being random: the
    items at `indices`, all by default, made a batch by `collate`, as of a `DataLoader`.
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
        """Read from all items, once; raises `DataError` if there are none."""
        found: list[object] = []
        for rows in _slices(len(self)):
            _, targets = self._batch(rows.tolist())
            if targets is None:
                hint = "let it give (input, target)"
                raise DataError("targets are needed", got="a data set of inputs only", hint=hint)
            found += listed(targets)
        return found

    def _batch(self, rows: list[int]) -> tuple[Tensor, Any]:
        batch = self._collate([self._dataset[self._indices[row]] for row in rows])
        if not isinstance(batch, tuple | list):
            batch = batch, None
        if len(batch) != 2:
            rule = "a sample must be (input, target)"
            hint = "wrap the data set so that it gives two"
            raise DataError(rule, got=f"{len(batch)} parts", hint=hint)
        inputs = as_tensor(batch[0])
        if len(inputs) != len(rows):
            got, hint = f"{type(batch[0]).__name__} for {len(rows)} of them", "wrap the data set"
            raise DataError("an input must be one tensor or array", got=got, hint=hint)
        return inputs, batch[1]


def source_of(data: Any, y: Any = None) -> Source:
    """The source that a user's data are; raises `DataError` for what has no samples by number.

    They are a `DataLoader` or map-style `Dataset` of (input, target), a pair of arrays or tensors,
    or inputs alone where targets `y` are given or not needed.
    """
    if y is not None:
        return Arrays(data, y)
    rule = "a data set must give its samples by number (map-style)"
    hint = "read it into arrays, or into a Dataset with __len__ and __getitem__"
    if isinstance(data, DataLoader):
        if isinstance(data.dataset, IterableDataset) or data.batch_sampler is None:
            raise DataError(rule, got="one that cannot", hint=hint)
        indices = sorted(index for batch in data.batch_sampler for index in batch)
        return FromDataset(data.dataset, indices, data.collate_fn)
    if isinstance(data, tuple) and len(data) == 2:
        return Arrays(*data)
    if isinstance(data, IterableDataset):
        raise DataError(rule, got=type(data).__name__, hint=hint)
    array = isinstance(data, Tensor | list | tuple | str | Mapping) or hasattr(data, "__array__")
    if not array and hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return FromDataset(data)
    return Arrays(data)


def slices(source: Source, rows: int = _SLICE) -> Iterator[Tensor]:
    """All inputs of a source in order, some at a time."""
    yield from map(source.read, _slices(len(source), rows))


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
        rule = "inputs of a data set must be tensors or arrays of one shape"
        got = f"{type(inputs[0]).__name__}: {str(error).splitlines()[0]:.80}"
        hint = "convert them (ToTensor), or give a DataLoader that collates them"
        raise DataError(rule, got=got, hint=hint) from None


def _slices(total: int, rows: int = _SLICE) -> Sequence[Tensor]:
    return torch.split(torch.arange(total), rows)


@dataclass(frozen=True)
class SourceSamples:
    """Samples that are read from their source when a batch is made, and go to `device`."""

    source: Source
    y: Tensor  # (n, ...) targets, encoded
    rows: Tensor  # (n,) int64 rows of the source, on the CPU
    task: int
    device: torch.device

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor) -> Batch:
        """The samples at `indices` ((batch,) int64, on the CPU)."""
        x, y = self.source.read(self.rows[indices]), self.y[indices]
        task = torch.full((len(y),), self.task)
        return Batch(*(each.to(self.device) for each in (x, y, task)))


def divided(
    everything: SourceSamples, share: float, generator: torch.Generator
) -> tuple[SourceSamples, SourceSamples | None]:
    """Samples to learn from and a share of them held out, or None if that is not even one."""
    rows = torch.arange(len(everything))
    learned, held = hold_out(rows, int(share * len(everything)), generator)
    kept = replace(everything, y=everything.y[learned], rows=everything.rows[learned])
    if held is None:
        return kept, None
    return kept, replace(everything, y=everything.y[held], rows=everything.rows[held])
