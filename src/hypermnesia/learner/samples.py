"""The samples of a fit: what is held out of them, and in which order the rest is learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, count, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from hypermnesia import tree
from hypermnesia.data.stream import BatchStream
from hypermnesia.data.types import Batch, Samples, hold_out
from hypermnesia.errors import ConfigError, DataError
from hypermnesia.learner.arrays import Form, shown
from hypermnesia.learner.inputs import (
    Arrays,
    FromDataset,
    InputSource,
    as_pair,
    collated,
    source_of,
)
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.targets import listed
from hypermnesia.training.observers import StopTask
from hypermnesia.tree import Tree

FIRST = 1024
"""Samples of a stream that are kept in memory: they settle what there is to know before a fit."""


def is_stream(data: object) -> bool:
    """Whether it is an `IterableDataset`, or a `DataLoader` over one."""
    return isinstance(data.dataset if isinstance(data, DataLoader) else data, IterableDataset)


class FromStream(Arrays):
    """The first samples of a stream, in memory, and what comes after them.

    Raises `DataError` for a stream without any, or whose first ones are of several shapes.

    Args:
        data: an `IterableDataset` of (input, target), or a `DataLoader` over one, whose batches and
            workers are its own.
        batch_size: samples that are read together where there is no loader.
        form: how inputs are read; that of the first samples by default.
    """

    def __init__(self, data: Any, batch_size: int, form: Form | None = None) -> None:
        self._batches = _batches(data, batch_size)
        inputs: list[Tensor] = []
        targets: list[object] = []
        while len(targets) < FIRST and (batch := next(self._batches, None)) is not None:
            inputs.append(batch[0])
            targets += listed(batch[1])
        if not targets:
            raise DataError("a stream must have samples", got="none", hint="give some")
        super().__init__(_together(inputs), targets, form)

    def rest(self) -> Iterator[tuple[Tensor, Any]]:
        """(batch, *sample) inputs and targets of what comes after the first ones, once."""
        for inputs, targets in self._batches:
            yield shown(inputs, self.form), targets


def _together(inputs: list[Tensor]) -> Tensor:
    if not all(isinstance(each, Tensor) for each in inputs):
        rule, hint = "samples of a stream must have one input each", "read them into arrays"
        raise DataError(rule, got="several", hint=hint)
    shapes = {tuple(each.shape[1:]) for each in inputs}
    if len(shapes) > 1:
        got, hint = f"shapes {sorted(shapes)}", "bring them to one shape (pad)"
        raise DataError("samples of a stream must be of one shape", got=got, hint=hint)
    return torch.cat(inputs)


def _batches(data: Any, size: int) -> Iterator[tuple[Tensor, Any]]:
    """The batches of a loader, or samples of a data set by `size`; a smaller rest is left out."""
    if isinstance(data, DataLoader):
        with torch.random.fork_rng(devices=[]):  # of which a loader's iterator draws its seed
            batches = iter(data)
        yield from map(_pair, batches)
        return
    items, wanted = iter(data), 1
    while len(some := list(islice(items, size))) >= wanted:
        yield _pair(collated(some))
        wanted = size


def _pair(batch: Any) -> tuple[Tensor, Any]:
    inputs, targets = as_pair(batch)
    if targets is None:
        hint = "yield (input, target)"
        raise DataError("targets are needed", got="inputs only", hint=hint)
    return inputs, targets


def opened(
    data: Any, y: Any, form: Form | None, settings: LearnerSettings, steps: int | None
) -> InputSource:
    """The source of a fit's data; raises `ConfigError` for `steps` of data that are no stream."""
    stream = y is None and is_stream(data)
    if stream and steps is not None:
        return FromStream(data, settings.batch_size, form)
    if steps is not None:
        rule, hint = "steps are of a stream (IterableDataset)", "give iterations"
        raise ConfigError(rule, got=type(data).__name__, hint=hint)
    return source_of(data, y, form=form, draws=settings.iterations * settings.batch_size)


def targets_read(source: InputSource, classes: Any) -> Any:
    """The targets; None of a data set whose classes are told, which is read as it is learned."""
    if classes is None or not isinstance(source, FromDataset):
        return source.targets()
    source.settle()
    return None


def weights_of(given: Any, source: InputSource) -> Tensor | None:
    """(n,) weights of samples, of mean 1; raises `DataError` for others, or other data."""
    if given is None:
        return None
    weights = torch.as_tensor(np.array(given, dtype=np.float64))
    rule = "sample_weight must be a number of 0 or more a sample, with a sum above 0"
    if not isinstance(source, Arrays):
        got = type(source).__name__
        raise DataError("sample_weight is for arrays", got=got, hint="weigh by a sampler")
    if weights.shape != (len(source),):
        raise DataError(rule, got=f"shape {tuple(weights.shape)} for {len(source)} samples")
    if not (weights.isfinite().all() and (weights >= 0).all() and weights.sum() > 0):
        raise DataError(rule, got=f"from {float(weights.min())} to {float(weights.max())}")
    return (weights / weights.mean()).to(torch.get_default_dtype())


@dataclass(frozen=True)
class SourceSamples:
    """Samples that are read from their source when a batch is made, and go to `device`.

    Attributes:
        encode: targets as the user gives them -> (n, ...) targets of the loss.
        y: (n, ...) those that were read first; a batch has the ones that are read with its inputs.
        rows: (n,) int64 rows of the source, on the CPU.
        order: (m,) int64 numbers of samples, in the order in which to learn; None for any order.
        weight: (rows of the source,) of each in the loss; None where all count alike.
    """

    source: InputSource
    encode: Callable[[Any], Tensor]
    y: Tensor
    rows: Tensor
    task: int
    device: torch.device
    order: Tensor | None = None
    weight: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, indices: Tensor) -> Batch:
        """The samples at `indices` ((batch,) int64, on the CPU)."""
        rows = self.rows[indices]
        batch = self.placed(*self.source.pair(rows))
        if self.weight is None:
            return batch
        return replace(batch, weight=self.weight[rows].to(self.device))

    def placed(self, x: Tree, given: Any) -> Batch:
        """The batch of (batch, *sample) inputs and their targets, as the user gives them."""
        y = self.encode(given)
        task = torch.full((len(y),), self.task)
        return Batch(tree.to(x, self.device), y.to(self.device), task.to(self.device))

    def some(self, indices: Tensor) -> SourceSamples:
        """Those at `indices` ((k,) int64, each once)."""
        order = self.order
        if order is not None:
            places = torch.full((len(self),), -1)
            places[indices] = torch.arange(len(indices))
            order = places[order][places[order] >= 0]
        return replace(self, y=self.y[indices], rows=self.rows[indices], order=order)


def divided(
    everything: SourceSamples, share: float, generator: torch.Generator
) -> tuple[SourceSamples, SourceSamples | None]:
    """Samples to learn from and a share of them held out, or None if that is not even one.

    Where a sampler says how often each is drawn, the held-out ones are as often, too.
    """
    rows, y = torch.arange(len(everything)), everything.y
    classes = None if y.is_floating_point() else y
    learned, held = hold_out(rows, int(share * len(everything)), generator, classes)
    if held is None:
        return everything, None
    apart = everything.some(held)
    if apart.order is not None:
        drawn = apart.order[: len(held)]
        apart = replace(apart, y=apart.y[drawn], rows=apart.rows[drawn], order=None)
    return everything.some(learned), apart


class InOrder:
    """Mini-batches of samples in an order of theirs, (m,) int64, which begins again at its end."""

    def __init__(self, samples: Samples, order: Tensor, batch_size: int) -> None:
        self._samples, self._order = samples, order
        self._size, self._drawn = min(batch_size, len(order)), 0

    def next(self) -> Batch:
        """Draw the next mini-batch."""
        places = torch.arange(self._drawn, self._drawn + self._size) % len(self._order)
        self._drawn += self._size
        return self._samples.batch(self._order[places])


class AsTheyCome:
    """Mini-batches of a stream: of the samples in memory, then each as it is read, once.

    `rows` counts samples drawn. Where the stream ends, `StopTask` is raised.
    """

    def __init__(self, samples: SourceSamples, source: FromStream, batch_size: int) -> None:
        first = torch.arange(len(samples)).tensor_split(max(len(samples) // batch_size, 1))
        read = (samples.placed(*pair) for pair in source.rest())
        self._batches, self.rows = chain(map(samples.batch, first), read), 0

    def next(self) -> Batch:
        """Draw the next mini-batch."""
        batch = next(self._batches, None)
        if batch is None:
            raise StopTask
        self.rows += len(batch)
        return batch


@dataclass(frozen=True)
class _Numbers:
    """Samples whose inputs are their own numbers."""

    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, indices: Tensor) -> Batch:
        return Batch(indices, indices, indices)


class _ReadAhead:
    """Samples whose batches are read ahead, in the order in which they will be asked for."""

    def __init__(self, samples: SourceSamples, read: Iterator[tuple[Tensor, Any]]) -> None:
        self.y, self._samples, self._read = samples.y, samples, read

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, indices: Tensor) -> Batch:  # noqa: ARG002
        """The next ones, which are those at `indices`."""
        return self._samples.placed(*next(self._read))


def stream_of(
    samples: SourceSamples, batch_size: int, generator: torch.Generator
) -> BatchStream | InOrder | AsTheyCome:
    """The mini-batches of a fit: as a stream gives them, in the samples' order, or shuffled."""
    if isinstance(samples.source, FromStream):
        return AsTheyCome(samples, samples.source, batch_size)
    ahead = _read_ahead(samples, samples.source, batch_size, generator)
    return _ordered(ahead or samples, samples.order, batch_size, generator)


def _ordered(
    samples: Samples, order: Tensor | None, batch_size: int, generator: torch.Generator
) -> BatchStream | InOrder:
    if order is not None:
        return InOrder(samples, order, batch_size)
    return BatchStream([samples], batch_size, generator)


def _read_ahead(
    samples: SourceSamples, source: InputSource, batch_size: int, generator: torch.Generator
) -> _ReadAhead | None:
    """The samples, if their source has workers; a twin of the generator tells them the order."""
    twin, other = torch.Generator(), torch.Generator()
    for each in (twin, other):
        each.set_state(generator.get_state())
    order = _ordered(_Numbers(samples.y), samples.order, batch_size, twin)
    drawn = (samples.rows[order.next().y] for _ in count())
    seed = int(torch.randint(2**62, (), generator=other))
    read = source.ahead(drawn, seed) if isinstance(source, FromDataset) else None
    return None if read is None else _ReadAhead(samples, read)
