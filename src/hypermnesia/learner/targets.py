"""What the outputs of a task's network stand for: classes, or values."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hypermnesia.errors import ConfigError, DataError
from hypermnesia.learner.arrays import unmasked
from hypermnesia.methods.base import Loss
from hypermnesia.nets import with_columns
from hypermnesia.optimizers import OptimizerFactory, OptimizerSettings, OwnOptimizer

Label = bool | int | float | str | tuple[Any, ...]
"""What a label can be: everything here can be written to a file and read back the same."""


_DATES = "mM"  # NumPy's kinds of dates and durations, which count as integers


class Labels:
    """Distinct labels, each with its number: the place where it first is among `values`."""

    def __init__(self, values: Iterable[Label]) -> None:
        self._numbers: dict[object, int] = {}
        self.values: list[Label] = []
        for value in values:
            if self._numbers.setdefault(_key(value), len(self.values)) == len(self.values):
                self.values.append(value)

    @classmethod
    def of(cls, given: Iterable[object]) -> Labels:
        """The sorted labels of a task's samples; raises `DataError` for labels of several kinds."""
        labels = cls(map(plain, given))
        kinds = sorted({type(value).__name__ for value in labels.values})
        if len(kinds) > 1:
            rule = "the labels of a task must be of one kind"
            hint = "convert them, for example to strings"
            raise DataError(rule, got=" and ".join(kinds), hint=hint)
        try:
            return cls(sorted(labels.values))
        except TypeError:  # tuples with parts of several kinds
            return labels

    def __len__(self) -> int:
        return len(self.values)

    def encode(self, given: Iterable[object]) -> Tensor:
        """(n,) int64 numbers of labels."""
        numbers = [self._numbers.get(_key(plain(value)), -1) for value in given]
        return torch.tensor(numbers, dtype=torch.int64)

    @property
    def array(self) -> NDArray[Any]:
        """(labels,) all of them, as strings, numbers or truth values where they are of one kind."""
        return self._array.copy()

    def take(self, numbers: Tensor) -> NDArray[Any]:
        """The labels with these (n,) numbers, as `array` has them."""
        labels: NDArray[Any] = self._array[numbers.numpy()]
        return labels

    @cached_property
    def _array(self) -> NDArray[Any]:
        kinds = {type(value) for value in self.values}
        if len(kinds) == 1 and tuple not in kinds:
            array = np.array(self.values)
            found = array.tolist()
            # NumPy drops a final NUL of a string, and makes floats of -1 and 2**63.
            if found == self.values and {type(value) for value in found} == kinds:
                return array
        objects = np.empty(len(self.values), dtype=object)
        for number, value in enumerate(self.values):
            objects[number] = value
        return objects


def plain(label: object) -> Label:
    """A label as a Python value; raises `DataError` for a kind that cannot be stored."""
    number = isinstance(label, np.generic) and label.dtype.kind not in _DATES
    if number or (isinstance(label, Tensor) and label.ndim == 0 and not label.is_meta):
        label = label.item()  # type: ignore[attr-defined]
    if type(label) is tuple:
        return tuple(map(plain, label))
    finite = not isinstance(label, float) or math.isfinite(label)
    if type(label) in (bool, int, float, str) and finite:
        return label  # type: ignore[return-value]
    rule = "labels must be strings, finite numbers, truth values or tuples of these"
    several = isinstance(label, list | np.ndarray | Tensor)
    hint = "map them to strings" + (", or give one a sample: y.argmax(1)" if several else "")
    raise DataError(rule, got=f"{label!r:.40} of type {type(label).__name__}", hint=hint)


def to_json(label: Label) -> Any:
    """A label as JSON: a tuple is a list."""
    return list(map(to_json, label)) if isinstance(label, tuple) else label


def from_json(value: Any) -> Label:
    """The label of which `to_json` made `value`."""
    return plain(tuple(map(from_json, value)) if isinstance(value, list) else value)


def place(values: Sequence[Label], value: object) -> int | None:
    """Where a label is among distinct ones; None where it is not, or can be no label."""
    if type(value) is str:
        return values.index(value) if value in values else None
    try:
        number = int(Labels(values).encode([value]))
    except DataError:
        return None
    return None if number < 0 else number


def listed(given: Any) -> Sequence[object]:
    """(n,) labels of an array, tensor or sequence, one by one; dates stay what they are."""
    dates = isinstance(given, np.ndarray) and given.dtype.kind in _DATES
    whole = isinstance(given, Tensor | np.ndarray) and not dates
    return given.tolist() if whole else list(given)


def _key(label: Label) -> object:
    # 1, 1.0 and True are equal, but not the same label.
    if isinstance(label, tuple):
        return tuple(map(_key, label))
    return type(label), label


class Classes:
    """Classes by the user's own labels."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels

    @classmethod
    def of(cls, given: Any) -> Classes:
        """Those of a task's samples; raises `DataError` for any but one label a sample."""
        if getattr(given, "ndim", 1) != 1:
            rule = "classification needs one label a sample"
            hint = "give an array of shape (n,), or say problem='multilabel' or 'positions'"
            raise DataError(rule, got=f"labels of shape {tuple(given.shape)}", hint=hint)
        return cls(Labels.of(listed(given)))

    def extended(self, given: Any) -> Classes:
        """These and, behind them, new ones; raises `DataError` for labels of another kind."""
        values = self.labels.values + Classes.of(given).labels.values
        Labels.of(values)
        return Classes(Labels(values))

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return len(self.labels)

    def encode(self, given: Any) -> Tensor:
        """(n,) int64 classes; raises `DataError` for a label that the task does not have."""
        given = listed(given)
        numbers = self.labels.encode(given)
        if (numbers < 0).any():
            strange = plain(given[int((numbers < 0).nonzero()[0])])
            known = ", ".join(map(str, self.labels.values[:8]))
            rule = "a task keeps the labels that it was first fitted with"
            hint = "fit samples with new labels as a task of their own, or name them in classes"
            raise DataError(rule, got=f"{strange!r:.40}, where it has {known}", hint=hint)
        return numbers

    def answer(self, outputs: Tensor) -> NDArray[Any]:
        """(n,) labels of (n, classes) logits."""
        return self.labels.take(outputs.argmax(dim=1))

    def finish(self, network: nn.Module, head: str | None) -> nn.Module:
        """The network with the outputs in the order of the sorted labels."""
        values = self.labels.values
        order = [*range(len(values))]
        with suppress(TypeError):  # tuples with parts of several kinds
            order.sort(key=values.__getitem__)
        return network if order == [*range(len(values))] else with_columns(network, order, head)

    def stored(self) -> dict[str, Any]:
        """The labels."""
        return {"labels": [to_json(value) for value in self.labels.values]}


class Values:
    """Real values, learned as deviations in units of their spread: so losses are comparable.

    Where `single`, the user gives and gets (n,) values, not (n, 1). Their unit is float64: what
    varies little about a large mean is learned, and answered, to its last digit.
    """

    def __init__(self, mean: Sequence[float], spread: Sequence[float], *, single: bool) -> None:
        self.mean, self.spread = (torch.tensor(v, dtype=torch.float64) for v in (mean, spread))
        self.single = single

    @classmethod
    def of(cls, given: Any) -> Values:
        """Those of a task's samples; raises `DataError` for values too large to have a spread."""
        values = numbers(given)
        single, values = values.ndim == 1, values.reshape(len(values), -1)
        mean, spread = values.mean(dim=0), values.std(dim=0, correction=0)
        spread[values.amin(dim=0) == values.amax(dim=0)] = 1.0
        if not torch.isfinite(spread).all():
            rule, hint = "the spread of targets must be finite", "divide them by their largest"
            raise DataError(rule, got=f"up to {float(values.abs().max()):.3g}", hint=hint)
        return cls(mean.tolist(), spread.tolist(), single=single)

    @property
    def outputs(self) -> int:
        """Number of values a sample."""
        return len(self.mean)

    def encode(self, given: Any) -> Tensor:
        """(n, outputs) deviations; raises `DataError` for another number of values."""
        values = numbers(given)
        table = values.reshape(len(values), -1)
        if values.ndim != (1 if self.single else 2) or table.shape[1] != self.outputs:
            rule = "a task keeps the number of values that it was first fitted with"
            hint = f"give {self.outputs} a sample"
            raise DataError(rule, got=f"targets of shape {tuple(values.shape)}", hint=hint)
        return ((table - self.mean) / self.spread).float()

    def answer(self, outputs: Tensor) -> NDArray[Any]:
        """(n,) or (n, outputs) float64 values of (n, outputs) deviations."""
        values: NDArray[Any] = (outputs * self.spread + self.mean).numpy()
        return values[:, 0] if self.single else values

    def finish(self, network: nn.Module, head: str | None) -> nn.Module:  # noqa: ARG002
        """The network and, behind it, `Rescale`."""
        return nn.Sequential(network, Rescale(self.mean, self.spread)).eval()

    def stored(self) -> dict[str, Any]:
        """Means and spreads."""
        mean, spread = self.mean.tolist(), self.spread.tolist()
        return {"mean": mean, "spread": spread, "single": self.single}


class Rescale(nn.Module):
    """(batch, outputs) deviations to values: times `spread`, plus `mean`, both (outputs,)."""

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("spread", spread.clone())

    def forward(self, deviations: Tensor) -> Tensor:
        """(batch, outputs) values."""
        return deviations * self.spread + self.mean


def numbers(given: Any) -> Tensor:
    """(n,) or (n, k) float64 values of targets; raises `DataError` for others."""
    try:
        array = np.asarray(_arrays(given))
        if array.dtype.kind in f"c{_DATES}":
            raise TypeError(f"{array.dtype.name} targets")
        values = torch.from_numpy(array.astype(np.float64))
    except (TypeError, ValueError) as error:
        rule, hint = "regression needs numbers", "or problem='classification'"
        raise DataError(rule, got=str(error), hint=hint) from None
    if values.ndim not in (1, 2) or not torch.isfinite(values).all():
        rule = "regression needs finite targets of shape (n,) or (n, k)"
        got = f"shape {tuple(values.shape)}" if values.ndim not in (1, 2) else "NaN or infinity"
        raise DataError(rule, got=got, hint="reshape them, and drop samples without a target")
    return values


def _arrays(given: NDArray[Any] | Sequence[object]) -> Any:
    """Targets without tensors, of which NumPy cannot read all kinds."""
    if isinstance(given, np.ndarray):
        return given
    return [y.tolist() if isinstance(y, Tensor) else y for y in unmasked(given)]


Problem = Literal["classification", "regression", "positions", "multilabel"]
"""What the outputs of a network can stand for: one class a sample, values, a class at each
position, or any number of labels."""

DENSE = ("positions", "multilabel")
"""Problems of more than one label a sample, whose tasks must be named."""

IGNORED = -100
"""At a position without a label, as of torch's cross-entropy and of Transformers."""

Targets = Classes | Values
"""Of a task: `outputs` of its network, `encode` for the loss, `answer` for the user, and so on."""


def positions_loss(logits: Tensor, y: Tensor) -> Tensor:
    """The cross-entropy of (n, *positions) classes, whichever axis logits have classes along."""
    by_class = logits.movedim(-1, 1) if logits.shape[:-1] == y.shape else logits
    return F.cross_entropy(by_class, y, ignore_index=IGNORED)


LOSSES: dict[Problem, Loss] = {
    "classification": F.cross_entropy,
    "regression": F.mse_loss,
    "positions": positions_loss,
    "multilabel": F.binary_cross_entropy_with_logits,
}
"""What a network is trained by, for each problem."""


@dataclass(frozen=True)
class Own:
    """Functions of the user's that a learner trains by, which are not saved; None for its own.

    Raises `ConfigError` for what is no function.
    """

    criterion: Loss | None = None
    optimizer: OptimizerFactory | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not callable(value):
                raise ConfigError(f"{name} must be a function", got=repr(value))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of those that are given."""
        return tuple(name for name, value in vars(self).items() if value is not None)

    def warn_of_missing(self, wanted: Iterable[str]) -> None:
        """Warn of those that a loaded learner had before it was saved."""
        missing = [name for name in wanted if name not in self.names]
        if missing:
            each = " and ".join(missing)
            told = f"the learner was saved without its {each}; the default is used"
            warnings.warn(f"{told}; give {each} to ContinualLearner.load", stacklevel=3)

    def settings(self, usual: OptimizerSettings) -> OptimizerSettings:
        """Those of the optimiser given, with the schedule of the `usual` one; or the usual ones."""
        if self.optimizer is None:
            return usual
        return OwnOptimizer(schedule=usual.schedule, factory=self.optimizer)


def problem_of(given: Any) -> Problem:
    """Regression for floating-point targets, classification for any others."""
    try:
        kind = np.asarray(_arrays(given[:1])).dtype.kind
    except ValueError:  # tuples within tuples
        kind = "O"
    return "regression" if kind == "f" else "classification"
