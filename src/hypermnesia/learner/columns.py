"""What of a table a learner is shown: its inputs as numbers of like size, targets, tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hypermnesia.errors import ConfigError, DataError
from hypermnesia.learner.tables import Table, Values
from hypermnesia.registry import unknown_name

Scaling = Literal["columns", "range", "none"]
"""How inputs are scaled: each column to mean 0 and deviation 1, all to [0, 1] at once, or not."""

Kind = Literal["int", "float", "text"]
"""What targets are; floats are learned as values (regression), others as classes."""

_KINDS: dict[str, Kind] = {"i": "int", "f": "float", "U": "text"}


@dataclass(frozen=True)
class Input:
    """A column of inputs.

    Attributes:
        shape: of a sample's numbers in it; empty for one number.
        values: of a column of categories, of which each becomes an input of 0 or 1.
        shift: subtracted from numbers, which are then divided by `unit`.
    """

    name: str
    shape: tuple[int, ...] = ()
    values: tuple[str, ...] | None = None
    shift: float = 0.0
    unit: float = 1.0

    @classmethod
    def of(cls, table: Table, name: str, *, category: bool) -> Input:
        """The column of the first fit's table, as it stands; raises `DataError` for texts."""
        if category:
            return cls(name, values=tuple(sorted(set(table.texts(name)))))
        return cls(name, table.numbers(name).shape[1:])

    @property
    def size(self) -> int:
        """How many numbers it gives."""
        return math.prod(self.shape) if self.values is None else len(self.values)

    def read(self, table: Table) -> NDArray[np.float64]:
        """(n, size) numbers; raises `DataError` for an unknown category or another shape."""
        if self.values is not None:
            return self._one_hot(table, self.values)
        numbers = table.numbers(self.name)
        if numbers.shape[1:] != self.shape:
            rule = f"samples of {self.name!r} must be of shape {self.shape}, as in the first fit"
            raise DataError(rule, got=f"{numbers.shape[1:]} in {table.path.name}")
        return (numbers.reshape(len(table), -1) - self.shift) / self.unit

    def _one_hot(self, table: Table, values: Sequence[str]) -> NDArray[np.float64]:
        texts = table.texts(self.name)
        for row, text in enumerate(texts, start=1):
            if text not in values:
                got = f"{text!r:.40} in row {row} of {table.path.name}"
                rule = f"categories of {self.name!r} must be among those of the first fit's file"
                raise DataError(rule, got=got, hint=f"it had {', '.join(values[:8])}")
        return np.array([[float(text == value) for value in values] for text in texts])


@dataclass(frozen=True)
class Columns:
    """The columns that a learner reads.

    Attributes:
        inputs: in the order in which the model is shown them.
        target: name of the column to be predicted; `kind` is that of its values.
        task: name of the column that names tasks; None where a file is one task.
    """

    inputs: tuple[Input, ...]
    target: str
    kind: Kind
    task: str | None = None
    scaling: Scaling = "columns"

    @property
    def shape(self) -> tuple[int, ...]:
        """That of a sample: of an array's where this is all, else of a row of numbers."""
        (first, *others) = self.inputs
        return first.shape if not others and first.shape else (sum(x.size for x in self.inputs),)

    def read_inputs(self, table: Table) -> NDArray[np.float32]:
        """(n, *shape) inputs; raises `DataError` for what is missing or no number."""
        parts = [each.read(table) for each in self.inputs]
        return np.hstack(parts).reshape(len(table), *self.shape).astype(np.float32)

    def read_targets(self, table: Table) -> Values:
        """(n,) targets of the kind of the first fit's; raises `DataError` for another kind."""
        found = table.values(self.target)
        kind = kind_of(self.target, found)
        if self.kind == "text":
            return np.array(table.texts(self.target))
        if kind == "text" or (self.kind == "int" and kind == "float"):
            rule = f"targets {self.target!r} must be of one kind in all files ({self.kind})"
            raise DataError(rule, got=f"{kind} in {table.path.name}", hint="convert them")
        return found.astype(np.float64 if self.kind == "float" else np.int64)


def kind_of(name: str, targets: Values) -> Kind:
    """What targets are; raises `DataError` if they are not one a row."""
    if targets.ndim != 1:
        rule, hint = "targets must be one value a row", "name a column of them with --target"
        raise DataError(rule, got=f"{name!r} of shape {targets.shape}", hint=hint)
    return _KINDS[targets.dtype.kind]


def columns_of(
    table: Table,
    target: str,
    task: str | None,
    *,
    ignore: Sequence[str] = (),
    categories: Sequence[str] = (),
    scaling: Scaling | None = None,
) -> Columns:
    """The columns of a first fit: all but target, task and those to `ignore` are inputs.

    A lone array, as of images, is scaled by its range unless told otherwise, other columns each.
    Raises `ConfigError` for a name that is not in the table, or if no input is left.
    """
    kind = kind_of(target, table.values(target))
    for name in (*ignore, *categories, *([] if task is None else [task])):
        if name not in table.columns:
            raise unknown_name(f"column of {table.path.name}", name, table.columns)
    names = [name for name in table.columns if name not in (target, task, *ignore)]
    if not names:
        hint = "leave out fewer columns"
        raise ConfigError("a model needs columns of inputs", got="none but target", hint=hint)
    inputs = [Input.of(table, name, category=name in categories) for name in names]
    lone = len(inputs) == 1 and inputs[0].shape
    return Columns(tuple(inputs), target, kind, task, scaling or ("range" if lone else "columns"))


def scaled(columns: Columns, table: Table, rows: NDArray[np.int64]) -> Columns:
    """The columns with shift and unit by these rows; all later ones are scaled as they are.

    What does not vary is divided by 1.
    """
    numeric = {x.name: table.numbers(x.name)[rows] for x in columns.inputs if x.values is None}
    if columns.scaling == "none" or not numeric:
        return columns
    if columns.scaling == "range":
        least = min(float(each.min()) for each in numeric.values())
        most = max(float(each.max()) for each in numeric.values())
        found = dict.fromkeys(numeric, (least, most - least or 1.0))
    else:
        found = {name: (float(v.mean()), float(v.std()) or 1.0) for name, v in numeric.items()}
    units = [found.get(each.name, (0.0, 1.0)) for each in columns.inputs]
    pairs = zip(columns.inputs, units, strict=True)
    inputs = [replace(each, shift=shift, unit=unit) for each, (shift, unit) in pairs]
    return replace(columns, inputs=tuple(inputs))
