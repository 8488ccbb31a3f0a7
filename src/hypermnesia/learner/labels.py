"""The labels of a task, as its user says them, and the numbers that a network knows them by."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypermnesia.errors import DataError

Label = bool | int | float | str | tuple[Any, ...]
"""What a label can be: everything here can be written to a file and read back the same."""


class Labels:
    """Distinct labels in an order, each with its number.

    Args:
        values: the labels; those that are there already keep their first place.
    """

    def __init__(self, values: Iterable[Label]) -> None:
        self._numbers: dict[object, int] = {}
        self.values: list[Label] = []
        for value in values:
            if self._numbers.setdefault(_key(value), len(self.values)) == len(self.values):
                self.values.append(value)

    @classmethod
    def of(cls, given: Iterable[object]) -> Labels:
        """The sorted labels of a task's samples.

        Raises:
            DataError: a label that cannot be stored, or labels of several kinds.
        """
        labels = cls(map(plain, given))
        kinds = sorted({type(value).__name__ for value in labels.values})
        if len(kinds) > 1:
            raise DataError(
                "the labels of a task must be of one kind",
                got=" and ".join(kinds),
                cure="convert them, for example to strings",
            )
        try:
            return cls(sorted(labels.values))
        except TypeError:  # tuples with parts of several kinds
            return labels

    def __len__(self) -> int:
        return len(self.values)

    def encode(self, given: Iterable[object]) -> Tensor:
        """(n,) int64 numbers of labels.

        Raises:
            DataError: a label that is none of these.
        """
        numbers = [self._numbers.get(_key(plain(value)), -1) for value in given]
        return torch.tensor(numbers, dtype=torch.int64)

    @property
    def array(self) -> NDArray[Any]:
        """(labels,) all of them, as strings, numbers or truth values where they are of one kind."""
        kinds = {type(value) for value in self.values}
        if len(kinds) == 1 and tuple not in kinds:
            array = np.array(self.values)
            if array.tolist() == self.values:  # NumPy drops a final NUL of a string
                return array
        objects = np.empty(len(self.values), dtype=object)
        for number, value in enumerate(self.values):
            objects[number] = value
        return objects


def plain(label: object) -> Label:
    """A label as a Python value of its own; scalars of NumPy and torch become what they hold.

    Raises:
        DataError: it is of a kind that cannot be stored.
    """
    if isinstance(label, np.generic) or (isinstance(label, Tensor) and label.ndim == 0):
        label = label.item()
    if type(label) is tuple:
        return tuple(map(plain, label))
    finite = not isinstance(label, float) or math.isfinite(label)
    if type(label) in (bool, int, float, str) and finite:
        return label  # type: ignore[return-value]
    raise DataError(
        "labels must be strings, finite numbers, truth values or tuples of these",
        got=f"{label!r:.40} of type {type(label).__name__}",
        cure="map them to strings",
    )


def to_json(label: Label) -> Any:
    """A label as JSON: a tuple is a list."""
    return list(map(to_json, label)) if isinstance(label, tuple) else label


def from_json(value: Any) -> Label:
    """The label of which `to_json` made `value`."""
    return plain(tuple(map(from_json, value)) if isinstance(value, list) else value)


def listed(given: Any) -> Sequence[object]:
    """(n,) labels of an array, tensor or sequence, one by one."""
    return given.tolist() if isinstance(given, Tensor | np.ndarray) else list(given)


def _key(label: Label) -> object:
    # 1, 1.0 and True are equal, but not the same label.
    if isinstance(label, tuple):
        return tuple(map(_key, label))
    return type(label), label
