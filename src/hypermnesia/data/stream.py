"""Mini-batches without end, augmented, from a position that can be saved and continued."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hypermnesia import tree
from hypermnesia.data.types import Batch, Samples
from hypermnesia.errors import ConfigError, DataError
from hypermnesia.registry import Registry

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""((batch, channels, height, width) images, generator) -> images of the same shape."""

AUGMENTATIONS: Registry[Augment] = Registry("augmentation")
"""Every augmentation, by name."""


def shift(x: Tensor, generator: torch.Generator, padding: int = 2) -> Tensor:
    """Move (batch, channels, height, width) images by up to `padding` pixels; zeros move in."""
    return _crop(x, generator, padding)


def flip_and_crop(x: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """`shift` each image, then mirror it with probability 1/2 (He et al. 2016, for CIFAR)."""
    return _crop(x, generator, padding, flip=True)


def rotate(x: Tensor, generator: torch.Generator, degrees: float = 15.0) -> Tensor:
    """Turn (batch, channels, height, width) images by up to `degrees` either way; zeros move in."""
    angles = math.radians(degrees) * (2 * torch.rand(len(x), generator=generator).double() - 1)
    return turned(x, angles)


def turned(x: Tensor, angles: Tensor) -> Tensor:
    """Turn (batch, channels, height, width) images, between whose pixels it is linear.

    By `angles` in radians, one for each or for all of them, about the centre, against the clock.
    """
    across = x.shape[3] / x.shape[2]  # coordinates run from -1 to 1 along both axes
    cos, sin, none = angles.cos(), angles.sin(), torch.zeros_like(angles)
    rows = torch.stack([cos, -sin / across, none, sin * across, cos, none], dim=1)
    places = F.affine_grid(rows.reshape(-1, 2, 3).to(x), [len(rows), *x.shape[1:]], False)
    return F.grid_sample(x, places.expand(len(x), -1, -1, -1), align_corners=False)


def _crop(x: Tensor, generator: torch.Generator, padding: int, *, flip: bool = False) -> Tensor:
    """Take a window at random from each padded image."""
    top = torch.randint(2 * padding + 1, (len(x), 1), generator=generator)
    left = torch.randint(2 * padding + 1, (len(x), 1), generator=generator)
    rows, columns = top + torch.arange(x.shape[2]), left + torch.arange(x.shape[3])
    if flip:
        mirrored = torch.randint(2, (len(x), 1), generator=generator).bool()
        columns = torch.where(mirrored, columns.flip(1), columns)
    padded = F.pad(x, (padding,) * 4).flatten(2)
    pixels = rows[:, :, None] * (x.shape[3] + 2 * padding) + columns[:, None, :]
    index = pixels.flatten(1)[:, None, :].to(x.device).expand(-1, x.shape[1], -1)
    return padded.gather(2, index).reshape(x.shape)


AUGMENTATIONS.add("shift", shift)
AUGMENTATIONS.add("flip-crop", flip_and_crop)
AUGMENTATIONS.add("rotate", rotate)


def each_once(parts: Sequence[Samples], batch_size: int) -> Iterator[Batch]:
    """Yield every sample once, in order, in batches of one part each (its last may be smaller)."""
    for part in parts:
        for indices in torch.split(torch.arange(len(part), device=part.y.device), batch_size):
            yield part.batch(indices)


def rows_of(batch: Batch, rows: slice) -> Batch:
    """The samples of a batch at some rows."""
    found: Any = {each.name: getattr(batch, each.name) for each in fields(batch)}
    return replace(batch, **{n: tree.index(v, rows) for n, v in found.items() if v is not None})


class BatchStream:
    """Mini-batches drawn by shuffling without replacement, epoch after epoch.

    What fills no batch at the end of an epoch is dropped, unless it is all the data. In a batch
    from several parts, samples of the same part stand together.

    Args:
        parts: where samples come from; several for joint training.
        batch_size: samples a batch; raises `ConfigError` below 1.
        generator: CPU generator of the shuffles and of `augment`.
        augment: applied to a batch's inputs, one float tensor, or `DataError`; None for none.
        part: (number of samples) -> the rows of a batch that this process trains on, of several
            that share it; None for all. Draws are those of whole batches.
    """

    def __init__(
        self,
        parts: Sequence[Samples],
        batch_size: int,
        generator: torch.Generator,
        augment: Augment | None = None,
        part: Callable[[int], slice] | None = None,
    ) -> None:
        if batch_size < 1:
            got = f"batch_size {batch_size}"
            raise ConfigError("a batch must have samples", got=got, hint="set it to 1 or more")
        self._samples = sum(len(part) for part in parts)
        if not self._samples:
            hint = "give a part with data"
            raise DataError("a stream must have samples to draw from", got="none", hint=hint)
        self._parts, self._size = tuple(parts), min(batch_size, self._samples)
        self._generator, self._augment, self._part = generator, augment, part
        self._shuffle_state = generator.get_state()
        self._order = torch.empty(0, dtype=torch.int64)
        self._position = 0  # samples drawn in this epoch; 0 only before the first batch

    def next(self) -> Batch:
        """Draw the next mini-batch."""
        batch = self._next()
        return batch if self._part is None else rows_of(batch, self._part(len(batch)))

    def _next(self) -> Batch:
        if self._position + self._size > len(self._order):
            self._shuffle_state = self._generator.get_state()
            self._shuffle()
            self._position = 0
        batch = self._gather(self._order[self._position : self._position + self._size])
        self._position += self._size
        if self._augment is None:
            return batch
        augmented = self._augment(tree.one_tensor(batch.x, "an augmentation"), self._generator)
        return replace(batch, x=augmented, unaugmented=batch.x)

    def state_dict(self) -> dict[str, Tensor]:
        """Return the position: the shuffle's seed, samples drawn since, the generator's state."""
        return {
            "shuffle": self._shuffle_state.clone(),
            "position": torch.tensor(self._position),
            "samples": torch.tensor(self._samples),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue where `state_dict` was taken, bit for bit; raises `DataError` on other data."""
        position, samples = int(state["position"]), int(state["samples"])
        if samples != self._samples or not 0 <= position <= samples:
            got = f"position {position} of {samples} samples for {self._samples} samples"
            hint = "continue with the data and settings of the first run"
            raise DataError("a stream must continue on the data it began with", got=got, hint=hint)
        self._shuffle_state, self._position = state["shuffle"].clone(), position
        self._order = self._order[:0]
        if position:
            self._generator.set_state(self._shuffle_state)
            self._shuffle()
        self._generator.set_state(state["generator"])

    def _shuffle(self) -> None:
        self._order = torch.randperm(self._samples, generator=self._generator)

    def _gather(self, drawn: Tensor) -> Batch:
        """Make a batch of the samples at `drawn`, counted through all parts in order."""
        batches, first = [], 0
        for part in self._parts:
            own = drawn[(drawn >= first) & (drawn < first + len(part))] - first
            batches += [part.batch(own)] if len(own) else []
            first += len(part)
        if len(batches) == 1:
            return batches[0]
        x = tree.cat([batch.x for batch in batches])
        y, task = (torch.cat([getattr(b, name) for b in batches]) for name in ("y", "task"))
        return Batch(x, y, task)
