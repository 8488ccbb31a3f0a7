"""Whatever a user calls data, as inputs by row and targets beside them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    default_collate,
)

from hypermnesia.errors import DataError
from hypermnesia.learner.arrays import (
    LABELS,
    Form,
    as_input,
    as_tensor,
    as_tree,
    columns_of,
    dense,
    finite,
    is_several,
    merged,
    parts_of,
    shown,
    stacked,
    stacked_tree,
    table,
    unmasked,
    without_labels,
)
from hypermnesia.learner.targets import listed
from hypermnesia.tree import Tree, batch_size, index

_ARRAYS = (np.ndarray, Tensor)
_SLICE = 128  # samples that are read at a time
_LOOK = 2048  # samples that are looked at before a fit whose classes are told
_READING = (
    "num_workers",
    "worker_init_fn",
    "prefetch_factor",
    "multiprocessing_context",
    "timeout",
)


class InputSource(Protocol):
    """Inputs by row, and what belongs to them.

    Attributes:
        form: how inputs are read; settled by `targets`, where it was not given.
        parts: all rows, (n,) int64 in order, those together that are to be read together.
        alone: whether a sample's shape may depend on those that are read with it.
        order: (m,) int64 rows in the order in which they are to be learned; None for any order.
    """

    form: Form
    parts: Sequence[Tensor]
    alone: bool
    order: Tensor | None

    def __len__(self) -> int: ...

    def read(self, rows: Tensor) -> Tree:
        """(n, *sample) inputs of (n,) rows: floats, or int64 ids; or several of these."""

    def pair(self, rows: Tensor) -> tuple[Tree, Any]:
        """These, and their targets, drawn together; raises `DataError` if there are none."""

    def targets(self) -> Any:
        """One target for each row, in the order of the rows, as the user gave them."""


class Arrays:
    """(n, *sample) inputs in memory, and n targets, if any; raises `DataError` for a misfit."""

    alone = False
    order: Tensor | None = None

    def __init__(self, x: Any, y: Any = None, form: Form | None = None) -> None:
        columns = columns_of(x)
        wanted = columns if form is None or form.columns is None else form.columns
        given = finite(as_tensor(x) if columns is None else table(x, wanted or ()))
        if given.ndim == 0:
            rule = "inputs must be of shape (n, ...)"
            raise DataError(rule, got="a single number", hint="give a row a sample")
        self._y = None if y is None else _in_memory(y)
        if self._y is not None and len(self._y) != len(given):
            got = f"{tuple(given.shape)} inputs, {len(self._y)} targets"
            raise DataError("there must be a target for each input", got=got, hint="give as many")
        if 0 in given.shape[1:]:
            raise DataError("a sample must hold numbers", got=f"shape {tuple(given.shape)}")
        self.form = Form.of(given, columns) if form is None else form
        shown = as_input(given, self.form)
        shown = shown if shown is given else finite(shown)
        self._x = given if given.dtype == torch.uint8 else shown
        self.parts = _slices(len(given))

    def __len__(self) -> int:
        return len(self._x)

    def read(self, rows: Tensor) -> Tensor:
        """(len(rows), *sample) inputs."""
        some = self._x.index_select(0, rows)
        return as_input(some, self.form) if some.dtype == torch.uint8 else some

    def pair(self, rows: Tensor) -> tuple[Tree, Any]:
        """(len(rows), *sample) inputs, and their targets."""
        y = self.targets()
        some = y[rows.numpy()] if isinstance(y, np.ndarray) else [y[row] for row in rows.tolist()]
        return self.read(rows), some

    def targets(self) -> Any:
        """An array or list of them; raises `DataError` if there are none."""
        return _needed(self._y)


class Several(Arrays):
    """Inputs of several (n, ...) arrays in a dict or tuple; else as `Arrays`, raises as it does."""

    def __init__(self, x: Any, y: Any = None, form: Form | None = None) -> None:
        given = as_tree(x)
        rows = batch_size(given)
        self._y = None if y is None else _in_memory(y)
        if self._y is not None and len(self._y) != rows:
            got = f"{rows} inputs, {len(self._y)} targets"
            raise DataError("there must be a target for each input", got=got, hint="give as many")
        self.form = Form.of(given) if form is None else form
        self._all, self._rows = shown(given, self.form), rows
        self.parts = _slices(rows)

    def __len__(self) -> int:
        return self._rows

    def read(self, rows: Tensor) -> Tree:
        """(len(rows), *sample) inputs."""
        return index(self._all, rows)


def _in_memory(y: Any) -> Any:
    """Targets as an array or a list."""
    if isinstance(y, Tensor):
        y = dense(y)
        y = y.double() if y.is_floating_point() else y
    array = np.asarray(unmasked(y)) if hasattr(y, "__array__") else None
    single = array.ndim == 0 if array is not None else not hasattr(y, "__len__")
    if single or isinstance(y, Mapping | Set):
        got = f"a single {type(y).__name__}"
        raise DataError("targets must be a sequence", got=got, hint="give [y]")
    return list(unmasked(y)) if array is None else array


def _needed(targets: Any) -> Any:
    if targets is None:
        hint = "give (x, y), or a data set of (input, target)"
        raise DataError("targets are needed", got="inputs only", hint=hint)
    return targets


class FromDataset:
    """Samples (input, target) of a map-style data set; inputs alone will do to predict.

    They are read each time they are needed, so that random transforms go on being random: the
    items at `keys`, all by default, made a batch by `collate`, as of a `DataLoader`; `reading` are
    its options of workers, who then read ahead.
    """

    def __init__(
        self,
        dataset: Any,
        form: Form | None = None,
        *,
        keys: Sequence[Any] | None = None,
        order: Tensor | None = None,
        collate: Callable[[list[Any]], Any] | None = None,
        sizes: Sequence[int] | None = None,
        reading: Mapping[str, Any] | None = None,
    ) -> None:
        self._dataset, self._collate = dataset, collate or collated
        self._reading = reading
        self._keys = range(len(dataset)) if keys is None else keys
        self._settled, self.form = form is not None, form or Form()
        self.order, self.alone = order, collate not in (None, default_collate)
        whole = torch.arange(len(self))
        self.parts = _slices(len(self)) if sizes is None else torch.split(whole, list(sizes))

    def __len__(self) -> int:
        return len(self._keys)

    def read(self, rows: Tensor) -> Tree:
        """(len(rows), *sample) inputs."""
        return self._shown(self._batch(rows)[0])

    def pair(self, rows: Tensor) -> tuple[Tree, Any]:
        """(len(rows), *sample) inputs, and their targets."""
        inputs, targets = self._batch(rows)
        return self._shown(inputs), _needed(targets)

    def targets(self) -> list[object]:
        """Read from all items, once; raises `DataError` if there are none, or for bad inputs."""
        found: list[object] = []
        forms: list[Form] = []
        for inputs, targets in self._read_ahead(self.parts) or map(self._batch, self.parts):
            found += listed(_needed(targets))
            self._shown(inputs)
            forms.append(Form.of(inputs))
        if not self._settled:
            self._settled, self.form = True, merged(forms)
        return found

    def settle(self) -> None:
        """Settle the form by a few samples from all over, the only ones before a fit."""
        rows = torch.linspace(0, len(self) - 1, min(len(self), _LOOK)).long()
        self.parts = torch.split(rows, _SLICE)
        self.targets()

    def ahead(self, rows: Iterable[Tensor], seed: int) -> Iterator[tuple[Tree, Any]] | None:
        """What `pair` gives for each of (n,) `rows`, read ahead by workers; None without any."""
        if (found := self._read_ahead(rows, seed)) is None:
            return None
        return ((self._shown(inputs), _needed(targets)) for inputs, targets in found)

    def _read_ahead(
        self, rows: Iterable[Tensor], seed: int = 0
    ) -> Iterator[tuple[Tree, Any]] | None:
        if self._reading is None:
            return None
        counts: deque[int] = deque()
        keys: Any = (self._counted(each, counts) for each in rows)
        own: dict[str, Any] = {**self._reading, "collate_fn": self._collate}
        own["generator"] = torch.Generator().manual_seed(seed)
        loader: DataLoader[Any] = DataLoader(self._dataset, batch_sampler=keys, **own)
        return (as_pair(batch, counts.popleft()) for batch in loader)

    def _counted(self, rows: Tensor, counts: deque[int]) -> list[Any]:
        counts.append(len(rows))
        return [self._keys[row] for row in rows.tolist()]

    def _shown(self, inputs: Tree) -> Tree:
        return shown(inputs, self.form)

    def _batch(self, rows: Tensor) -> tuple[Tree, Any]:
        items = [self._dataset[self._keys[row]] for row in rows.tolist()]
        return as_pair(self._collate(items), len(rows))


def as_pair(batch: Any, count: int | None = None) -> tuple[Tree, Any]:
    """(count, *sample) inputs of a collated batch, and its targets or None; raises `DataError`."""
    if isinstance(batch, Mapping):
        batch = without_labels(batch)
    if not isinstance(batch, tuple | list):
        batch = batch, None
    if len(batch) != 2:
        rule = "a sample must be (input, target)"
        hint = "wrap the data set so that it gives two"
        raise DataError(rule, got=f"{len(batch)} parts", hint=hint)
    inputs = as_tree(batch[0])
    several = is_several(inputs)
    rows = batch_size(inputs) if several else len(inputs) if inputs.ndim else -1
    if rows != (max(rows, 0) if count is None else count):
        got, hint = f"{type(batch[0]).__name__} for {count} of them", "wrap the data set"
        raise DataError("an input must be one tensor or array", got=got, hint=hint)
    return inputs, batch[1]


def source_of(data: Any, y: Any = None, *, form: Form | None = None, draws: int = 0) -> InputSource:
    """The source that a user's data are; raises `DataError` for what has no samples by number.

    They are a `DataLoader` or map-style `Dataset` of (input, target), a pair of arrays or tensors,
    or inputs alone where targets `y` are given or not needed. Of a loader they are the rows of one
    epoch, or, where so many `draws` are to be learned, all that its sampler draws for them.
    """
    if (several := _several(data, y, form)) is not None:
        return several
    if y is not None or isinstance(data, _ARRAYS):
        return Arrays(data, y, form)
    rule = "a data set must give its samples by number (map-style)"
    hint = "read it into arrays or, to fit, say how many updates to take of it (steps=...)"
    if isinstance(data, DataLoader):
        if isinstance(data.dataset, IterableDataset) or data.batch_sampler is None:
            raise DataError(rule, got="a DataLoader that cannot", hint=hint)
        return _to_learn(data, form, draws) if draws else _one_epoch(data, form)
    if isinstance(data, tuple) and len(data) == 2:
        return Arrays(*data, form)
    if isinstance(data, IterableDataset):
        raise DataError(rule, got=type(data).__name__, hint=hint)
    array = isinstance(data, Tensor | list | tuple | str | Mapping) or hasattr(data, "__array__")
    if not array and hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return FromDataset(data, form)
    return Arrays(data, form=form)


def _several(data: Any, y: Any, form: Form | None) -> InputSource | None:
    """The source of inputs that are several arrays in a dict or tuple; None for other data."""
    if isinstance(data, Mapping) and not hasattr(data, "__array__"):
        inputs, labels = (data, y) if y is not None else without_labels(data)
        return Several(inputs, labels, form)
    if not isinstance(data, tuple):
        return None
    if y is not None:
        return Several(data, y, form)
    if len(data) == 2 and is_several(data[0]):
        return Several(*data, form)
    alone = form is not None and form.parts == parts_of(data)
    return Several(data, None, form) if alone else None


class _Keys:
    """A data set whose items are their own keys."""

    def __getitem__(self, key: Any) -> Any:
        return key.item() if isinstance(key, Tensor | np.generic) else key


def _epoch(loader: DataLoader[Any]) -> Iterator[list[Any]]:
    """The keys of a loader's batches in one epoch, as the loader itself draws them."""
    keys: Any = _Keys()
    own = {"batch_sampler": loader.batch_sampler, "generator": loader.generator}
    yield from DataLoader(keys, collate_fn=list, **own)


def _sampler(loader: DataLoader[Any]) -> Any:
    """What a loader's rows are drawn by; None for a `batch_sampler` of the user's own."""
    batches = loader.batch_sampler
    return batches.sampler if type(batches) is BatchSampler else None


def _one_epoch(loader: DataLoader[Any], form: Form | None) -> InputSource:
    """The rows of an epoch: in the data set's order, if nobody can know in which they are drawn."""
    batches, sampler = list(_epoch(loader)), _sampler(loader)
    keys = [key for batch in batches for key in batch]
    random = RandomSampler, SubsetRandomSampler, WeightedRandomSampler
    if type(sampler) in random and sampler.generator is None:
        keys.sort()
    return _source(loader, form, keys, sizes=list(map(len, batches)))


def _to_learn(loader: DataLoader[Any], form: Form | None, draws: int) -> InputSource:
    """All rows that a loader shuffles; else those that its sampler draws, epoch after epoch."""
    sampler = _sampler(loader)
    if type(sampler) is SequentialSampler:
        return _one_epoch(loader, form)
    whole = type(sampler) is RandomSampler and not sampler.replacement
    if type(sampler) is SubsetRandomSampler or (whole and len(sampler) == len(sampler.data_source)):
        return _source(loader, form, sorted(sampler))
    drawn = list(islice(_epochs(loader), draws))
    places = {key: place for place, key in enumerate(dict.fromkeys(drawn))}
    order = torch.tensor([places[key] for key in drawn], dtype=torch.int64)
    return _source(loader, form, list(places), order=order)


def _epochs(loader: DataLoader[Any]) -> Iterator[Any]:
    """Keys that a loader draws, without end unless it draws none."""
    some = True
    while some:
        some = False
        for batch in _epoch(loader):
            some = True
            yield from batch


def _source(
    loader: DataLoader[Any],
    form: Form | None,
    keys: list[Any],
    *,
    order: Tensor | None = None,
    sizes: list[int] | None = None,
) -> InputSource:
    """Samples of a loader; where its own `collate_fn` makes them, in batches of such `sizes`."""
    collate = loader.collate_fn
    sizes = None if collate is default_collate else sizes
    own: dict[str, Any] = {"keys": keys, "order": order, "collate": collate, "sizes": sizes}
    if loader.num_workers:
        own["reading"] = {name: getattr(loader, name) for name in _READING}
    return FromDataset(loader.dataset, form, **own)


def slices(source: InputSource, rows: int | None = None) -> Iterator[Tree]:
    """All inputs of a source in order, some at a time."""
    yield from map(source.read, source.parts if rows is None else _slices(len(source), rows))


def read_once(source: InputSource) -> tuple[Iterator[Tree], list[object]]:
    """All inputs, some at a time, and a list that gets their targets as they are read."""
    found: list[object] = []

    def inputs() -> Iterator[Tree]:
        for rows in source.parts:
            x, targets = source.pair(rows)
            found.extend(listed(targets))
            yield x

    return inputs(), found


def collated(items: list[Any]) -> Any:
    """Stacked inputs and a list of targets, which stay what they are."""
    first = items[0]
    if isinstance(first, Mapping):
        own = next((name for name in LABELS if name in first), None)
        inputs = {name: [i[name] for i in items] for name in first if name != own}
        labels = {} if own is None else {own: [item[own] for item in items]}
        return {name: stacked_tree(values) for name, values in inputs.items()} | labels
    if not isinstance(first, tuple | list):
        return stacked(items)
    if any(len(item) != 2 for item in items):
        return first
    return stacked_tree([item[0] for item in items]), [item[1] for item in items]


def _slices(total: int, rows: int = _SLICE) -> Sequence[Tensor]:
    whole = torch.arange(total)
    return torch.split(whole, rows) if total > rows else [whole]
