"""Targets of more than one label a sample: one at each position, or any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hypermnesia.errors import DataError
from hypermnesia.learner.targets import IGNORED, Classes, Label, Labels, from_json


class Positions(Classes):
    """A class at each position of a sample, a token or a pixel, by the user's own whole numbers.

    `IGNORED` stands where there is none. Logits are (n, *positions, classes), as of Transformers,
    or (n, classes, *positions), as of convolutions.
    """

    @classmethod
    def of(cls, given: Any) -> Positions:
        """Those of a task's samples; raises `DataError` for other than whole numbers."""
        values = np.unique(np.concatenate([_whole(row).ravel() for row in given]))
        return cls(Labels(values[values != IGNORED].tolist()))

    def encode(self, given: Any) -> Tensor:
        """(n, *positions) int64 classes; raises `DataError` for a label that the task lacks."""
        rows = padded([_whole(row) for row in given])
        known = np.array(self.labels.values)
        places = np.searchsorted(known, rows).clip(max=len(known) - 1)
        strange = (known[places] != rows) & (rows != IGNORED)
        if strange.any():
            rule = "a task keeps the labels that it was first fitted with"
            hint = f"fit samples with new labels as another task; {IGNORED} is for no label"
            raise DataError(rule, got=int(rows[strange][0]), hint=hint)
        return torch.from_numpy(np.where(rows == IGNORED, IGNORED, places))

    def last(self, logits: Tensor) -> Tensor:
        """(n, *positions, classes) logits, whichever axis they have classes along."""
        return logits if logits.shape[-1] == self.outputs else logits.movedim(1, -1)

    def answer(self, outputs: Tensor) -> NDArray[Any]:
        """(n, *positions) labels."""
        return self.labels.take(self.last(outputs).argmax(dim=-1))

    def probabilities(self, outputs: Tensor) -> NDArray[np.float32]:
        """(n, *positions, classes) of them."""
        found: NDArray[np.float32] = self.last(outputs).softmax(dim=-1).numpy()
        return found

    def score(self, answers: NDArray[Any], given: Sequence[Any]) -> float:
        """The share of right labels among positions that have one."""
        rows = padded([_whole(row) for row in given])
        some = rows != IGNORED
        return float((answers == rows)[some].mean())

    def stored(self) -> dict[str, Any]:
        """The labels."""
        return {**super().stored(), "kind": "positions"}


class MultiLabel(Classes):
    """Any number of k labels a sample: (n, k) of 0 and 1, or truth values."""

    @classmethod
    def of(cls, given: Any) -> MultiLabel:
        """Those of a task's samples; raises `DataError` for other than 0 and 1."""
        return cls(Labels(range(_truths(given).shape[1])))

    def encode(self, given: Any) -> Tensor:
        """(n, k) of 0 and 1, as floats for the loss; raises `DataError` for another k."""
        truths = _truths(given)
        if truths.shape[1] != self.outputs:
            rule = "a task keeps the number of labels that it was first fitted with"
            raise DataError(rule, got=truths.shape[1], hint=f"give {self.outputs} a sample")
        return torch.as_tensor(truths, dtype=torch.get_default_dtype())

    def answer(self, outputs: Tensor) -> NDArray[Any]:
        """(n, k) whether each label is likelier than not."""
        found: NDArray[Any] = (outputs > 0).numpy()
        return found

    def probabilities(self, outputs: Tensor) -> NDArray[np.float32]:
        """(n, k) of each label."""
        found: NDArray[np.float32] = outputs.sigmoid().numpy()
        return found

    def score(self, answers: NDArray[Any], given: Sequence[Any]) -> float:
        """The share of samples whose labels are all right, as scikit-learn's accuracy."""
        return float((answers == (_truths(given) > 0)).all(axis=1).mean())

    def finish(self, network: nn.Module, head: str | None) -> nn.Module:  # noqa: ARG002
        """The network, whose outputs are logits of the labels in their order."""
        return network

    def stored(self) -> dict[str, Any]:
        """The labels."""
        return {**super().stored(), "kind": "multilabel"}


KINDS: dict[str, type[Positions | MultiLabel]] = {"positions": Positions, "multilabel": MultiLabel}
"""By the name of the problem."""


def restored_dense(stored: dict[str, Any]) -> Positions | MultiLabel:
    """The targets that were stored."""
    labels: list[Label] = list(map(from_json, stored["labels"]))
    return KINDS[stored["kind"]](Labels(labels))


def padded(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """(n, *positions) of rows, shorter ones filled with none; raises `DataError` for misfits."""
    if len({row.shape for row in rows}) == 1:
        return np.stack(rows)
    shapes = {row.shape[1:] for row in rows}
    if len(shapes) > 1 or not rows[0].ndim:
        rule, hint = "labels of positions must differ in length alone", "pad them"
        raise DataError(rule, got=f"shapes {sorted({r.shape for r in rows})[:4]}", hint=hint)
    full = np.full((len(rows), max(map(len, rows)), *shapes.pop()), IGNORED, dtype=np.int64)
    for place, row in zip(full, rows, strict=True):
        place[: len(row)] = row
    return full


def joined(parts: Sequence[Tensor], fill: float = 0.0) -> Tensor:
    """Batches of (n, positions, ...) outputs in turn, shorter ones filled up by `fill`."""
    widths = [part.shape[1] for part in parts]
    if len(set(widths)) == 1:
        return torch.cat([*parts])
    full = []
    for part in parts:
        more = part.new_full((len(part), max(widths) - part.shape[1], *part.shape[2:]), fill)
        full.append(torch.cat([part, more], dim=1))
    return torch.cat(full)


def _whole(row: Any) -> NDArray[np.int64]:
    array = np.asarray(row)
    if array.dtype.kind not in "iub" or not array.ndim:
        rule = "labels of positions must be whole numbers, one a position"
        hint = f"number them; {IGNORED} is for no label"
        raise DataError(rule, got=f"{array.dtype.name} of shape {array.shape}", hint=hint)
    return array.astype(np.int64)


def _truths(given: Any) -> NDArray[np.float64]:
    rule, hint = "labels must be 0 or 1 for each of k, of shape (n, k)", "encode them so"
    try:
        array = np.asarray([np.asarray(row) for row in given], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(rule, got=str(error)[:80], hint=hint) from None
    if array.ndim != 2 or not np.isin(array, (0, 1)).all():
        got = f"shape {array.shape}" if array.ndim != 2 else "other numbers"
        raise DataError(rule, got=got, hint=hint)
    return array
