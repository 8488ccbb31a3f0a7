"""What the training loop is told, checked before anything starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from hypermnesia.errors import ConfigError


@dataclass(frozen=True)
class TrainSettings:
    """How long, on what and how safely to train.

    Attributes:
        iterations: updates a task; None where `epochs` is given.
        epochs: passes over a task's training samples; None where `iterations` is given.
        batch_size: samples an update.
        augment: name of the data augmentation of training batches; None for none.
        evaluate_on: the part that fills the accuracy matrix; choices are made on `validation`.
        checkpoint_seconds: wall seconds between two checkpoints inside a task.
        evaluate_batch_size: samples a call of `predict`; changes speed and memory only.
    """

    batch_size: int
    iterations: int | None = None
    epochs: int | None = None
    augment: str | None = None
    evaluate_on: Literal["test", "validation"] = "test"
    checkpoint_seconds: float = 60.0
    evaluate_batch_size: int = 1000

    def __post_init__(self) -> None:
        if (self.iterations is None) == (self.epochs is None):
            raise ConfigError(
                "a task's length must be given once, as iterations or as epochs",
                got=f"iterations={self.iterations}, epochs={self.epochs}",
                cure="set one of them and leave the other out",
            )
        for name in ("iterations", "epochs", "batch_size", "evaluate_batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be 1 or more", got=value)
        if math.isnan(self.checkpoint_seconds) or self.checkpoint_seconds < 0:
            raise ConfigError(
                "checkpoint_seconds must be 0 (after every update) or more",
                got=self.checkpoint_seconds,
            )
        if self.evaluate_on not in ("test", "validation"):
            raise ConfigError("evaluate_on must be test or validation", got=self.evaluate_on)

    def updates(self, samples: int) -> int:
        """Number of updates for a task of `samples` training samples.

        An epoch is as many updates as `BatchStream` has full batches, or one if there is none.
        """
        if self.epochs is not None:
            return self.epochs * max(1, samples // self.batch_size)
        assert self.iterations is not None  # noqa: S101 - __post_init__ saw to it
        return self.iterations
