"""Parts of tasks, tasks and mini-batches, all in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from hypermnesia import tree
from hypermnesia.errors import ConfigError, DataError
from hypermnesia.tree import Tree


@dataclass(frozen=True)
class ImageData:
    """Training and test images of one data set, as stored.

    Attributes:
        train_x: (n, channels, height, width) uint8 training images; `test_x` are the test images.
        train_y: (n,) int64 their classes; `test_y` are those of the test images.
        num_classes: number of classes.
        scale: the largest stored value, what a batch is divided by to lie in [0, 1].
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    num_classes: int
    scale: float


def hold_out(
    rows: Tensor, validation: int, generator: torch.Generator, classes: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Split (n,) training rows at random into rows to learn from and rows held out, in order.

    With `validation`, the number of rows to hold out, at 0, None stands for these. Of each of
    the (n,) int64 `classes` at most twice its share is held out, and never all of it: where chance
    takes more, the rows next in its order are held out instead, or fewer if there are none. Raises
    `ConfigError` if no sample would be left to learn from.
    """
    if not 0 <= validation < len(rows):
        rule = "validation samples must leave some to learn from"
        got = f"{validation} of the {len(rows)} training samples of a task"
        raise ConfigError(rule, got=got, hint=f"choose from 0 to {len(rows) - 1}")
    if validation == 0:
        return rows, None
    shuffled = torch.randperm(len(rows), generator=generator)
    may = torch.ones(len(rows), dtype=torch.bool)
    if classes is not None:
        may = _within_share(classes[shuffled], validation / len(rows))
    chosen = may & (may.cumsum(0) <= validation)
    if not chosen.any():
        return rows, None
    learned, held = (rows[shuffled[some]].sort().values for some in (~chosen, chosen))
    return learned, held


def _within_share(classes: Tensor, share: float) -> Tensor:
    """Which of (n,) samples in their order are among the first of their class."""
    counts = torch.bincount(classes)
    most = (2 * share * counts).ceil().long().minimum(counts - 1)
    order = classes.argsort(stable=True)
    first = (counts.cumsum(0) - counts)[classes[order]]
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order)) - first
    return rank < most[classes]


Transform = Callable[[Tree], Tree]
"""Inputs of a batch -> inputs of the same batch."""


@dataclass(frozen=True)
class Batch:
    """A mini-batch. Labels count from 0 within their task.

    Attributes:
        x: inputs: a (batch, *sample) tensor of floats or int64 ids, or a pytree of such tensors.
        y: (batch,) int64 class of each sample within its task; or (batch, k) float targets.
        task: (batch,) int64 index of the task that each sample comes from.
        unaugmented: inputs as they were; None where `x` is.
        weight: (batch,) of each sample in the loss; None where all count alike.
    """

    x: Tree
    y: Tensor
    task: Tensor
    unaugmented: Tree | None = None
    weight: Tensor | None = None

    @property
    def original(self) -> Tree:
        """The inputs before augmentation: what a generative memory learns."""
        return self.x if self.unaugmented is None else self.unaugmented

    def __len__(self) -> int:
        return len(self.y)


class Samples(Protocol):
    """Samples of one task, from which mini-batches are made by number."""

    @property
    def y(self) -> Tensor:
        """The (n, ...) targets."""

    def __len__(self) -> int: ...

    def batch(self, indices: Tensor) -> Batch:
        """Make a batch of the samples at `indices` ((batch,) int64)."""


@dataclass(frozen=True)
class Part:
    """The training, validation or test samples of one task.

    Attributes:
        x: inputs as stored: an (n, *sample) tensor, or a pytree of such tensors. Bytes (images)
            and floats become floats in a batch; other integers (ids) and masks stay what they
            are. Tasks may share this storage.
        y: (n,) int64 class of each sample, counted within the task; or (n, k) float targets.
        task: index of the task.
        scale: what bytes and floats are divided by when a batch is made (255 for images).
        transform: applied to a batch's inputs; None for none (a task's permutation).
        rows: (n,) int64 rows of `x` that belong to this part; None for all, in order.
    """

    x: Tree
    y: Tensor
    task: int
    scale: float = 1.0
    transform: Transform | None = None
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, indices: Tensor) -> Batch:
        """Make a batch of the samples at `indices` ((batch,) int64 into this part)."""
        rows = indices if self.rows is None else self.rows[indices]
        x, y = tree.map(partial(_drawn, rows=rows, scale=self.scale), self.x), self.y[indices]
        x = x if self.transform is None else self.transform(x)
        return Batch(x, y, torch.full((len(y),), self.task, device=y.device))


_IDS_AND_MASKS = frozenset({torch.int64, torch.int32, torch.int16, torch.int8, torch.bool})


def _drawn(stored: Tensor, rows: Tensor, scale: float) -> Tensor:
    # index_select copies whole rows, twenty times as fast as x[rows] for small images.
    x = stored.index_select(0, rows.to(stored.device))
    if x.dtype in _IDS_AND_MASKS:
        return x
    x = x.to(torch.get_default_dtype())
    return x if scale == 1.0 else x / scale


@dataclass(frozen=True)
class Task:
    """One task of a sequence.

    Attributes:
        index: position in the sequence, from 0.
        outputs: number of classes, the width of the task's own head.
        validation: samples held out of the training data; None where none are.
    """

    index: int
    name: str
    outputs: int
    train: Part
    validation: Part | None
    test: Part


def place(tasks: Sequence[Task], device: torch.device) -> list[Task]:
    """Put all samples on `device`, those that tasks share once (the images of permutations)."""
    copies: dict[int, Tensor] = {}

    def moved(tensor: Tensor) -> Tensor:
        if id(tensor) not in copies:
            copies[id(tensor)] = tensor.to(device)
        return copies[id(tensor)]

    def moved_part(part: Part) -> Part:
        rows = None if part.rows is None else moved(part.rows)
        return replace(part, x=tree.map(moved, part.x), y=moved(part.y), rows=rows)

    def moved_task(task: Task) -> Task:
        parts = {kind: moved_part(part) for kind, part in _parts(task)}
        held_out = parts.get("validation")
        return replace(task, train=parts["training"], validation=held_out, test=parts["test"])

    return list(map(moved_task, tasks))


def check_samples(tasks: Sequence[Task]) -> None:
    """Raise `DataError` for inputs that are not finite or no pytree of samples, and bad labels.

    Few classes, few samples, constant or repeated ones are no error: there is little to learn
    from them, and that little is learned. Inputs that tasks share are looked at once.
    """
    finite: dict[int, bool] = {}
    for task in tasks:
        for kind, part in _parts(task):
            where = f"'{task.name}', {kind} samples"
            tree.batch_size(part.x)
            leaves = tree.leaves(part.x)
            finite |= {id(x): _finite(x) for x in leaves if id(x) not in finite}
            if not all(finite[id(x)] for x in leaves):
                got = f"NaN or an infinity in the inputs of {where}"
                hint = "leave such samples out, or fill in what is missing"
                raise DataError("inputs must be finite numbers", got=got, hint=hint)
            _check_labels(part.y, task.outputs, where)


def _parts(task: Task) -> Iterator[tuple[str, Part]]:
    parts = {"training": task.train, "validation": task.validation, "test": task.test}
    yield from ((kind, part) for kind, part in parts.items() if part is not None)


def _finite(x: Tensor) -> bool:
    return not x.is_floating_point() or bool(x.isfinite().all())


def _check_labels(y: Tensor, outputs: int, where: str) -> None:
    if y.is_floating_point():
        if not y.isfinite().all():
            raise DataError("targets must be finite numbers", got=f"others in {where}")
    elif len(y) and not 0 <= int(y.min()) <= int(y.max()) < outputs:
        rule = f"labels must count the task's classes, from 0 to {outputs - 1}"
        got = f"{int(y.min())} to {int(y.max())} in {where}"
        raise DataError(rule, got=got, hint="number the classes of each task from 0")


@dataclass(frozen=True)
class TaskSpec:
    """What a method knows of a task when it arrives.

    Attributes:
        outputs: number of classes (or of regression targets), the width of the task's head.
        iterations: how many `update` calls will follow, for schedules.
        buffers: start values, by name, of buffers of the evidence's networks (see `CentredVae`).
        partly: whether a task goes on with only some of its classes, and is to keep the others.
    """

    outputs: int
    iterations: int
    buffers: Mapping[str, Tensor] = field(default_factory=dict)
    partly: bool = False
