"""Targets that are classes."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn

from hypermnesia.errors import DataError
from hypermnesia.learner.labels import Labels, listed, to_json


class Classes:
    """Classes by the user's own labels."""

    def __init__(self, labels: Labels) -> None:
        self.labels = labels

    @classmethod
    def of(cls, given: Any) -> Classes:
        """Those of a task's samples.

        Raises:
            DataError: not one label a sample, or labels that cannot be stored.
        """
        if getattr(given, "ndim", 1) != 1:
            raise DataError(
                "classification needs one label a sample",
                got=f"labels of shape {tuple(given.shape)}",
                cure="give an array of shape (n,), or problem='regression'",
            )
        return cls(Labels.of(listed(given)))

    @property
    def outputs(self) -> int:
        """Number of classes."""
        return len(self.labels)

    def encode(self, given: Any) -> Tensor:
        """(n,) int64 classes.

        Raises:
            DataError: a label that the task does not have.
        """
        given = listed(given)
        numbers = self.labels.encode(given)
        if (numbers < 0).any():
            strange = given[int((numbers < 0).nonzero()[0])]
            known = ", ".join(map(str, self.labels.values[:8]))
            raise DataError(
                "a task keeps the labels that it was first fitted with",
                got=f"{strange!r:.40}, where it has {known}",
                cure="fit samples with new labels as a task of their own",
            )
        return numbers

    def answer(self, scores: Tensor) -> NDArray[Any]:
        """(n,) labels."""
        labels: NDArray[Any] = self.labels.array[scores.argmax(dim=1).numpy()]
        return labels

    def finish(self, network: nn.Module) -> nn.Module:
        """The network, whose outputs are scores of the labels in their order."""
        return network

    def stored(self) -> dict[str, Any]:
        """The labels."""
        return {"labels": [to_json(value) for value in self.labels.values]}
