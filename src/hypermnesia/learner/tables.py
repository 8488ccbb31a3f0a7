"""Tables of a user's own, from CSV, Parquet and NPZ files: columns by name, nothing unpickled."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypermnesia.errors import DataError
from hypermnesia.registry import unknown_name

Values = NDArray[Any]
"""(n,) numbers or texts, or (n, *sample) numbers."""

Column = list[str] | Values
"""A column as it stands in a file: of a CSV file, texts that may be numbers."""

_GAPS = ("", "na", "n/a", "nan", "null", "none", "?")
_FILL = "fill it in, or leave out such rows or the column (--ignore)"


@dataclass(frozen=True)
class Table:
    """A file's columns by name, looked at when they are asked for.

    Raises `DataError` unless all have as many rows, one or more.

    Attributes:
        path: of the file, for errors.
    """

    path: Path
    columns: Mapping[str, Column]

    def __post_init__(self) -> None:
        sizes = {name: len(column) for name, column in self.columns.items()}
        if len(set(sizes.values())) > 1:
            got = ", ".join(f"{name} of {size}" for name, size in list(sizes.items())[:8])
            rule = f"the columns of {self.path.name} must be of one length"
            raise DataError(rule, got=got, hint="give one row a sample")
        if not len(self):
            raise DataError("a table must have rows", got=f"none in {self.path.name}")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def values(self, name: str) -> Values:
        """(n, ...) int64, float64 or texts; raises `DataError` for missing ones, other kinds."""
        column = self._column(name)
        found = self._parsed(name, column) if isinstance(column, list) else column
        if found.dtype.kind not in "biufUS":
            got, hint = f"{name!r} of {found.dtype}", "convert it to numbers or texts"
            raise DataError("columns must be numbers or texts", got=got, hint=hint)
        if found.dtype.kind in "US":
            return self._complete(name, found.astype(str), found.astype(str) == "")
        found = found.astype(np.float64 if found.dtype.kind == "f" else np.int64)
        return self._complete(name, found, ~np.isfinite(found))

    def numbers(self, name: str) -> Values:
        """(n, *sample) float64; raises `DataError` that names the column and row of others."""
        found = self.values(name)
        if found.dtype.kind == "U":
            row = next(i for i, text in enumerate(found.tolist()) if not _is_number(text))
            got = f"{name!r} with {str(found[row])!r:.30} in row {row + 1} of {self.path.name}"
            hint = (
                f"--categories {name} makes a column of each value, --ignore {name} leaves it out"
            )
            raise DataError("columns of inputs must be numbers", got=got, hint=hint)
        return found.astype(np.float64)

    def texts(self, name: str) -> list[str]:
        """(n,) the column as texts; raises `DataError` for missing ones."""
        column = self._column(name)
        texts = column if isinstance(column, list) else list(map(str, self.values(name).tolist()))
        self._complete(name, np.array(texts), np.array([text == "" for text in texts]))
        return texts

    def _column(self, name: str) -> Column:
        if name not in self.columns:
            raise unknown_name(f"column of {self.path.name}", name, self.columns)
        return self.columns[name]

    def _parsed(self, name: str, texts: Sequence[str]) -> Values:
        gaps = np.array([text.lower() in _GAPS for text in texts])
        found = parsed([text for text, gap in zip(texts, gaps, strict=True) if not gap])
        if found.dtype.kind == "U":  # in which "none" and "?" may be values
            return np.array(texts)
        return self._complete(name, found, gaps)

    def _complete(self, name: str, values: Values, gaps: Values) -> Values:
        """The values; raises `DataError` that names the first row with a gap."""
        if gaps.any():
            row = int(np.argwhere(gaps)[0, 0]) + 1
            got = f"none in column {name!r}, row {row} of {self.path.name}"
            raise DataError("values must be there, and finite", got=got, hint=_FILL)
        return values


def parsed(texts: Sequence[str]) -> Values:
    """(n,) int64 or float64 if all texts are numbers, else the texts.

    Example:
        >>> from hypermnesia.learner.tables import parsed
        >>> parsed(["1", "2"]), parsed(["1", "2.5"]), parsed(["1", "two"])[1].item()
        (array([1, 2]), array([1. , 2.5]), 'two')
    """
    if not texts or not all(map(_is_number, texts)):
        return np.array(texts, dtype=np.str_)
    try:
        return np.array([int(text) for text in texts], dtype=np.int64)
    except (ValueError, OverflowError):
        return np.array([float(text) for text in texts])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python reads, between digits


def read_table(path: Path) -> Table:
    """The table in a CSV (with commas, semicolons or tabs), Parquet or NPZ file.

    Raises `DataError` for another kind of file or a damaged one, `OSError` for one not readable.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        got, hint = path, "convert it, for example to CSV with a line of names"
        raise DataError(f"a table must be one of {', '.join(READERS)}", got=got, hint=hint)
    return Table(path, read(path))


def _damaged(path: Path, got: object, hint: str) -> DataError:
    return DataError(f"{path.name} must be a table", got=got, hint=hint)


def _csv(path: Path) -> dict[str, Column]:
    """The columns of a text file whose first line names them."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            comma = max(",;\t", key=header.count)
            file.seek(0)
            rows = [row for row in csv.reader(file, delimiter=comma, skipinitialspace=True) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise _damaged(path, f"{error!s:.80}", "write it as CSV, in UTF-8") from None
    names = _names(path, rows[0] if rows else [])
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(names):
            got = f"{len(row)} values in row {number} for {len(names)} columns"
            raise _damaged(path, got, "write one value a column, quoted where it holds a comma")
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else ([] for _ in names)
    return {name: [t.strip() for t in each] for name, each in zip(names, columns, strict=True)}


def _names(path: Path, names: Sequence[str]) -> list[str]:
    """Names of columns without space around them; raises `DataError` if one is none or twice."""
    found = [name.strip() for name in names]
    for place, name in enumerate(found):
        if not name or name in found[:place]:
            got = f"{name!r} twice" if name else f"none for column {place + 1}"
            raise _damaged(path, got, "name each column, once, in the first line")
    if not found:
        raise _damaged(path, "an empty file", "write a line of names, and a line a sample")
    return found


def _parquet(path: Path) -> dict[str, Column]:
    if find_spec("pyarrow") is None:
        hint = "pip install 'hypermnesia[parquet]', or write CSV"
        raise DataError("reading Parquet needs the extra 'parquet'", got="no pyarrow", hint=hint)
    from pyarrow import ArrowException, parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]

    path.lstat()  # a missing file is told as any other
    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        got = f"{error!s:.80}"
        raise _damaged(path, got, "write it anew, with pyarrow or pandas") from None
    names = _names(path, table.column_names)
    return {name: _arrow(each) for name, each in zip(names, table.columns, strict=True)}


def _arrow(column: Any) -> Values:
    """A column of Arrow's: texts with "" and numbers with NaN where there is none."""
    array: Values = column.to_numpy()
    if array.dtype.kind == "O":
        kinds = {type(value) for value in array.tolist()} - {type(None)}
        if kinds <= {str}:
            return np.array([value or "" for value in array.tolist()], dtype=np.str_)
        if kinds <= {bool, int}:
            return np.array([np.nan if value is None else value for value in array.tolist()])
    return array


def _npz(path: Path) -> dict[str, Column]:
    """The arrays of a file that `numpy.savez` wrote; nothing in it is unpickled."""
    hint = "write it with numpy.savez: arrays of numbers or texts, one row a sample"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise _damaged(path, f"{error!s:.80}", hint) from None
    if not arrays or not all(array.ndim for array in arrays.values()):
        raise _damaged(path, "an array without rows", hint)
    return dict(arrays)


READERS: dict[str, Callable[[Path], dict[str, Column]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".npz": _npz,
}
"""What reads a file, by the end of its name."""


def csv_rows(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV text under their header."""
    from io import StringIO

    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
