"""What data frames of other libraries look like from outside, without the libraries."""

from __future__ import annotations

from typing import Any

import numpy as np


class Frame:
    """A table of named columns; numbers and words together are an array of objects."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns, self._values = list(columns), [*map(np.asarray, columns.values())]

    @classmethod
    def of(cls, x: np.ndarray, names: str) -> Frame:
        """The columns of an (n, columns) array, called by a letter each."""
        made = cls({})
        made.columns, made._values = list(names), list(x.T)
        return made

    def __len__(self) -> int:
        return len(self._values[0])

    def __getitem__(self, name: str) -> np.ndarray:
        return self._values[self.columns.index(name)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        kinds = {values.dtype.kind for values in self._values}
        table = np.empty((len(self), len(self.columns)), object if len(kinds) > 1 else None)
        for place, values in enumerate(self._values):
            table[:, place] = values
        return table.astype(dtype) if dtype else table


class Series:
    """A column with an index of its own, by which `[]` finds; rows come by `__array__` alone."""

    def __init__(self, values: Any) -> None:
        self._values = np.asarray(values)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, label: object) -> object:
        raise KeyError(label)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._values.astype(dtype) if dtype else self._values


class SparseMatrix:
    """As of SciPy: an array of one object to NumPy."""

    nnz = 3

    def toarray(self) -> np.ndarray:
        """What it holds."""
        return np.eye(3)
