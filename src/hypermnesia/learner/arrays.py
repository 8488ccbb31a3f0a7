"""Numbers of any kind as tensors, and what the first fit settles of their form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypermnesia import tree
from hypermnesia.errors import DataError
from hypermnesia.tree import Tree

_ROUND = (torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32)
_READY = tuple(map(np.dtype, ("float32", "float64", "uint8", "int64")))  # torch shares them
_NUMBERS = "inputs must be numbers"
_GIVE = "give an array or tensor of them, a tuple (x, y), a Dataset or a DataLoader"
_FAR = 10.0  # from 0: beyond it are no intensities, nor deviations of them


@dataclass(frozen=True)
class Form:
    """How inputs are read, which the first fit settles.

    Attributes:
        columns: names of a table's columns, in the order in which the model is shown them.
        bytes: whether inputs were bytes, then.
        most: the largest magnitude among them.
        parts: of inputs of several tensors, the names in a dict, or numbers in a tuple.
    """

    columns: tuple[str, ...] | None = None
    bytes: bool = False
    most: float = 0.0
    parts: tuple[str, ...] | None = None

    @classmethod
    def of(cls, x: Tree, columns: tuple[str, ...] | None = None) -> Form:
        """The form of the first fit's (n, *sample) inputs, as they are stored."""
        if not isinstance(x, Tensor):
            return cls(parts=parts_of(x))
        return cls(columns, x.dtype == torch.uint8, _most(x))

    @property
    def unit(self) -> float:
        """What bytes are divided by: 255, or 1 if there were flags (0, 1), or floats as large."""
        return 1.0 if (self.most <= 1 if self.bytes else self.most > _FAR) else 255.0

    def check(self, x: Tensor) -> None:
        """Raise `DataError` for (n, *sample) inputs on another scale than the first fit's."""
        other = x.is_floating_point() if self.unit > 1 else x.dtype == torch.uint8
        limit = _FAR if self.unit > 1 else 1.0
        if not self.bytes or not other or _most(x) <= limit:
            return
        shown = "bytes, divided by 255" if self.unit > 1 else "flags, bytes of 0 and 1"
        got = f"{str(x.dtype).removeprefix('torch.')} up to {_most(x):.4g}"
        hint = "scale them alike, for example x / 255 for floats"
        raise DataError(f"the first fit's inputs were {shown}, so all must be", got=got, hint=hint)


def as_input(x: Tensor, form: Form) -> Tensor:
    """The (n, ...) inputs of a network: bytes in [0, 1] or flags, int64 ids, floats; or raises."""
    if x.is_complex():
        raise DataError("inputs must be real", got=str(x.dtype), hint="split them into two parts")
    form.check(x)
    if x.dtype == torch.uint8:
        return x.to(torch.get_default_dtype()) / form.unit
    return x.to(torch.int64 if x.dtype in (*_ROUND, torch.int64) else torch.get_default_dtype())


def is_several(x: object) -> bool:
    """Whether inputs are several arrays: a dict of them (`BatchEncoding` is one), or a tuple."""
    return isinstance(x, Mapping | tuple)


def parts_of(x: Tree) -> tuple[str, ...]:
    """The names of the parts of inputs that are several tensors."""
    return tuple(map(str, sorted(x) if isinstance(x, Mapping) else range(len(x))))


def as_tree(x: Any) -> Tree:
    """Inputs of one array, or several in a dict, tuple or list of these, as (n, ...) tensors."""
    if isinstance(x, Mapping):
        return {str(name): as_tree(part) for name, part in x.items()}
    if isinstance(x, tuple):
        return tuple(map(as_tree, x))
    return as_tensor(x)


def shown(x: Tree, form: Form) -> Tree:
    """The inputs of a network, finite: as `as_input`, of several each on its own; or raises."""
    if isinstance(x, Tensor) and form.parts is None:
        return finite(as_input(x, form))
    found = ("one tensor",) if isinstance(x, Tensor) else parts_of(x)
    if found != form.parts and form != Form():  # of which nothing is known yet
        rule = "inputs must have the parts of the first fit's"
        hint = f"give {', '.join(form.parts or ('one tensor',))}"
        raise DataError(rule, got=", ".join(found), hint=hint)
    each = tree.map(lambda part: finite(_part(part)), x)
    tree.batch_size(each)
    return each


def _part(x: Tensor) -> Tensor:
    """One of several inputs: truth values stay what they are."""
    return (
        x if x.dtype == torch.bool else as_input(x, Form(bytes=x.dtype == torch.uint8, most=255.0))
    )


def stacked_tree(items: Sequence[Any]) -> Tree:
    """Inputs of n samples, of which each may be several arrays."""
    first = items[0]
    if isinstance(first, Mapping):
        return {name: stacked_tree([item[name] for item in items]) for name in first}
    if isinstance(first, tuple):
        return tuple(stacked_tree(part) for part in zip(*items, strict=True))
    return stacked(items)


LABELS = ("labels", "label")
"""Names under which a dict of several inputs holds targets, as those of Transformers do."""


def without_labels(batch: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """A dict's inputs, and the targets among its entries; None without any."""
    name = next((name for name in LABELS if name in batch), None)
    inputs = {str(key): value for key, value in batch.items() if key != name}
    return inputs, None if name is None else batch[name]


def _most(x: Tensor) -> float:
    """The largest magnitude of bytes or floats; 0 for numbers that are not measured by it."""
    if not x.numel() or not (x.is_floating_point() or x.dtype == torch.uint8):
        return 0.0
    return max(abs(float(each)) for each in x.aminmax())


def dense(x: Tensor) -> Tensor:
    """The (n, ...) tensor on the CPU, without gradients; raises `DataError` for one not dense."""
    kinds = {
        "nested": (x.is_nested, "pad it: torch.nested.to_padded_tensor"),
        "sparse": (x.layout != torch.strided, "give x.to_dense()"),
        "meta": (x.is_meta, "give one with values"),
        "quantized": (x.is_quantized, "give x.dequantize()"),
    }
    for kind, (found, hint) in kinds.items():
        if found:
            raise DataError("tensors must be dense, with values", got=f"a {kind} one", hint=hint)
    return x.detach().cpu()


def unmasked(given: Any) -> Any:
    """What is given; raises `DataError` if entries of it are masked."""
    parts = given if isinstance(given, list | tuple) else [given]
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        hint = "drop such samples, or fill them in (x.filled)"
        raise DataError("arrays must be complete", got="masked entries", hint=hint)
    return given


def as_tensor(x: Any) -> Tensor:
    """(n, ...) numbers of any kind, on the CPU; raises `DataError` for other things."""
    if type(x) is np.ndarray and x.dtype in _READY and x.flags.writeable and x.flags.c_contiguous:
        return torch.from_numpy(x)
    if isinstance(x, Tensor):
        return dense(x)
    if isinstance(x, list | tuple) and x and isinstance(x[0], Tensor):
        return stacked(x)
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise DataError("arrays must be dense", got=type(x).__name__, hint="give x.toarray()")
    x = unmasked(x)
    try:
        array = np.asarray(x)
    except (TypeError, ValueError):
        got = f"a {type(x).__name__} of parts of different shapes"
        raise DataError(_NUMBERS, got=got, hint=_GIVE) from None
    widest = 16 if array.dtype.kind == "c" else 8
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > widest:
        raise DataError(_NUMBERS, got=f"a {type(x).__name__} of {array.dtype.name}", hint=_GIVE)
    # Bytes in the machine's order, rows one after another, as torch wants them.
    array = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    return torch.as_tensor(array if array.flags.writeable else np.asarray(_Writable(array)))


class _Writable:
    """An array that may not be written to as one that may: torch would warn, and nobody writes."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array, interface = array, array.__array_interface__
        self.__array_interface__ = {**interface, "data": (interface["data"][0], False)}


def stacked(inputs: Sequence[Any]) -> Tensor:
    """(n, *sample) inputs of n of one shape; raises `DataError` for others."""
    try:
        return torch.stack([as_tensor(x) for x in inputs])
    except (DataError, RuntimeError) as error:
        rule = "inputs of a data set must be tensors or arrays of one shape"
        got = f"{type(inputs[0]).__name__}: {str(error).splitlines()[0]:.80}"
        hint = "convert them (ToTensor), or give a DataLoader that collates them"
        raise DataError(rule, got=got, hint=hint) from None


def finite(x: Tensor) -> Tensor:
    """The inputs `x`, (n, ...); raises `DataError` for NaN or infinity."""
    extremes = x.aminmax() if x.is_floating_point() and x.numel() else ()
    if not all(math.isfinite(each) for each in extremes):  # which are NaN where any entry is
        hint = "drop or fill in such samples"
        raise DataError("inputs must be finite", got="NaN or infinity", hint=hint)
    return x


def columns_of(x: Any) -> tuple[str, ...] | None:
    """Names of a table's columns (a data frame's); None for what has no names."""
    columns = getattr(x, "columns", None)
    if columns is None or not hasattr(x, "__array__"):
        return None
    return tuple(map(str, columns))


def table(x: Any, columns: tuple[str, ...]) -> Tensor:
    """(n, columns) numbers of a table, found by name; raises `DataError` that names misfits."""
    own = columns_of(x) or ()
    twice = [name for place, name in enumerate(own) if name in own[:place]]
    missing = [name for name in columns if name not in own]
    unknown = [name for name in own if name not in columns]
    for wrong, names in (("twice", twice), ("missing", missing), ("unknown", unknown)):
        if names:
            rule = "a table must have each column of the first fit's table once"
            hint = "choose the columns, or give x.to_numpy() to take them as they stand"
            raise DataError(rule, got=f"{wrong}: {', '.join(names[:8])}", hint=hint)
    if not columns:
        return torch.empty(len(x), 0)
    keys = dict(zip(own, x.columns, strict=True))
    return as_tensor(np.stack([_column(x[keys[name]], name) for name in columns], axis=1))


def _column(values: Any, name: str) -> NDArray[Any]:
    array: NDArray[Any] = np.asarray(values)
    if array.dtype.kind not in "biuf":
        kind = getattr(values, "dtype", array.dtype)
        time = any(word in str(kind) for word in ("datetime", "timedelta"))
        encoder = "FunctionTransformer, as seconds" if time else "OneHotEncoder or OrdinalEncoder"
        hint = f"encode it by scikit-learn's {encoder} (in a ColumnTransformer), or leave it out"
        raise DataError("columns must be numbers", got=f"{name!r} of {kind}", hint=hint)
    return array


def merged(forms: Sequence[Form]) -> Form:
    """The form of samples whose parts have these."""
    most = max(form.most for form in forms)
    return Form(bytes=any(form.bytes for form in forms), most=most, parts=forms[0].parts)
