"""`patches`: ridge regression on what whitened patches of the first task find in images.

Coates and Ng, "The importance of encoding versus training with sparse coding and vector
quantization", ICML 2011: random patches do nearly as well as learned ones. Patches are normalised
in contrast and whitened, as those of the first task's mini-batches are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import DataError
from hypermnesia.methods.analytic import AT_ONCE, Ridge, Size
from hypermnesia.settings import Count, NonNegative, Positive, Share
from hypermnesia.state_files import State

_IN_CACHE = 4_000_000  # responses
_CONTRAST = 10 / 255**2  # added to a patch's variance, as of Coates and Ng for pixels up to 255


@dataclass(frozen=True)
class PatchSettings:
    """The features of patches and the ridge regression on them.

    Attributes:
        number: patches, with 8 features each.
        size: of a patch, in pixels along each side.
        threshold: α, what a response must exceed.
        whitening: added to the variances of patches before they are divided by.
        ridge: λ.
        power: that features are raised to: 0.5 takes square roots of the averages.
        shift: pixels by which images are moved in the four directions, too, when a task ends: sums
            are of all five, and what is kept does not grow. 0 for images as they are.
        mirror: whether images are mirrored, left and right, too: sums are of both, and an image is
            answered by the mean features of both.
    """

    number: Size = 125
    size: Size = 6
    threshold: NonNegative = 0.3
    whitening: Positive = 0.1
    ridge: Positive = 0.1
    power: Share = 1.0
    shift: Count = 0
    mirror: bool = False


class Bank(nn.Module):
    """Responses of (n, k) filters to normalised patches, two-sided, averaged over quarters.

    A sample of one axis is an image of one row. `offsets` (n,) are subtracted from responses.
    """

    filters: Tensor
    offsets: Tensor

    def __init__(
        self, filters: Tensor, offsets: Tensor, size: tuple[int, int], settings: PatchSettings
    ) -> None:
        super().__init__()
        self.register_buffer("filters", filters)
        self.register_buffer("offsets", offsets)
        self.size, self.threshold, self.power = size, settings.threshold, settings.power
        self.mirror = settings.mirror

    def forward(self, x: Tensor) -> Tensor:
        """(batch, D) features of (batch, *sample) images, of an image and its mirror image."""
        return self.mean(x, 0) if self.mirror else self.of(as_images(x))

    def mean(self, x: Tensor, by: int) -> Tensor:
        """(batch, D) mean features of the views of images."""
        return torch.stack(self.views(x, by)).mean(dim=0)

    def views(self, x: Tensor, by: int) -> list[Tensor]:
        """Features of images as they are, moved by pixels if any, and of their mirror images."""
        images = as_images(x)
        both = [images, images.flip(3)] if self.mirror else [images]
        return [f for each in both for f in (self.moved(each, by) if by else [self.of(each)])]

    def of(self, image: Tensor) -> Tensor:
        """(batch, D) features of (batch, channels, height, width) images as they are."""
        return self.pooled(self.sides(image))

    def moved(self, x: Tensor, by: int) -> list[Tensor]:
        """Features of images as they are, and moved by pixels up, down, left and right."""
        sides = self.sides(F.pad(as_images(x), (by, by, by, by)))
        height, width = (n - 2 * by for n in sides.shape[2:])
        places = ((by, by), (2 * by, by), (0, by), (by, 2 * by), (by, 0))
        return [self.pooled(sides[:, :, t : t + height, s : s + width]) for t, s in places]

    def sides(self, image: Tensor) -> Tensor:
        """(batch, 2 n, height, width) responses above the threshold, of both signs."""
        height, width = (n - k + 1 for n, k in zip(image.shape[2:], self.size, strict=True))
        found = F.linear(normalised_patches(image, self.size), self.filters.to(image.dtype))
        found = found.sub_(self.offsets.to(image.dtype)).view(len(image), height, width, -1)
        found = found.permute(0, 3, 1, 2)  # channels last in memory: nothing is copied
        above = (found - self.threshold).relu_()
        return torch.cat([above, found.neg_().sub_(self.threshold).relu_()], dim=1)

    def pooled(self, sides: Tensor) -> Tensor:
        """(batch, D) float64 averages over quarters."""
        bins = (min(2, sides.shape[2]), min(2, sides.shape[3]))
        means = F.adaptive_avg_pool2d(sides, bins).flatten(1).double()
        return means if self.power == 1 else means.pow(self.power)


def check_moves(name: str, pixels: int, shape: tuple[int, ...]) -> None:
    """Raise `DataError` where samples of a shape cannot be moved by so many pixels."""
    if pixels and (len(shape) != 3 or pixels >= min(shape[1:])):
        rule = f"{name} moves images, (channels, height, width), by less than their size"
        hint = f"set {name}=0, or a smaller number"
        raise DataError(rule, got=f"{pixels} pixels of {shape}", hint=hint)


def as_images(x: Tensor) -> Tensor:
    """(batch, channels, height, width) of inputs, those of one axis as one row."""
    return x if x.ndim == 4 else x[:, None, None, :]


def normalised_patches(image: Tensor, size: tuple[int, int]) -> Tensor:
    """(batch, positions, entries of a patch), each patch less its mean, over its deviation."""
    patches = F.unfold(image, size).transpose(1, 2)
    patches = patches - patches.mean(dim=2, keepdim=True)
    return patches * (patches.square().mean(dim=2, keepdim=True) + _CONTRAST).rsqrt()


_PATCHES = PatchSettings()


class Patches(Ridge):
    """Ridge regression on responses of an image's patches to patches of the first task.

    The filters are patches of its mini-batches, drawn at random among those that are not blank, and
    scaled to length 1.
    """

    deterministic = False
    at_once = 16

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        patches: PatchSettings = _PATCHES,
        **own: Any,
    ) -> None:
        self.settings, self.strength = patches, patches.ridge
        super().__init__(network, scenario, **own)

    def _size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of a patch; raises `DataError` for what is no image."""
        if len(shape) not in (1, 3):
            rule = "patches are of images, (channels, height, width), or of one axis"
            raise DataError(rule, got=shape, hint="use ranpac")
        check_moves("patches.shift", self.settings.shift, shape)
        height, width = (1, *shape)[-2:]
        return min(self.settings.size, height), min(self.settings.size, width)

    def entries(self, shape: tuple[int, ...]) -> int:
        """Two sides of each patch, in up to four quarters."""
        positions = (n - k + 1 for n, k in zip((1, *shape)[-2:], self._size(shape), strict=True))
        return 2 * self.settings.number * math.prod(min(2, n) for n in positions)

    def _begin(self, shape: tuple[int, ...] | None) -> None:
        super()._begin(shape)
        self.size = (0, 0) if shape is None else self._size(shape)
        if shape is not None:  # a cache holds their responses: three times as fast as 256
            responses = self.settings.number * math.prod((1, *shape)[-2:])
            self.at_once = max(2, min(Patches.at_once, _IN_CACHE // responses))
        entries = math.prod(self.size) * (1 if shape is None else (1, 1, *shape)[-3])
        self.bank: Bank | None = None
        self.drawn, self.keys = torch.zeros(0, entries, **self._float64), torch.zeros(0)
        # of all patches that are not blank: a one, the entries and their products
        self.moments = torch.zeros(entries + 1, entries + 1, **self._float64)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Draw patches, in the first task; say how well samples are answered as yet."""
        metrics = super().update(batch)
        if bool(metrics["loss"].isfinite()):
            self.gather(batch)
        return metrics

    def gather(self, batch: Batch) -> None:
        """Draw patches, in the first task."""
        x = self._see(batch.original)[:AT_ONCE]
        if self.bank is None:
            self._gather(x)

    def _gather(self, x: Tensor) -> None:
        """Add to the moments, and draw so many of these and of earlier patches, all alike."""
        rows = normalised_patches(as_images(x), self.size).flatten(0, 1).double()
        contrast = rows.square().sum(dim=1) > 0
        rows = rows[contrast] if contrast.any() else rows
        with_one = torch.cat([torch.ones_like(rows[:, :1]), rows], dim=1)
        self.moments += with_one.T @ with_one
        generator, number = self.generators["patches"], self.settings.number
        chosen = torch.randint(len(rows), (number,), generator=generator)
        keys = torch.cat([self.keys, torch.rand(number, generator=generator)])
        best = keys.argsort(stable=True)[:number]
        self.keys = keys[best]
        self.drawn = torch.cat([self.drawn, rows[chosen.to(rows.device)]])[best.to(rows.device)]

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Whiten the patches, when the first task ends; add its samples to the sums."""
        if self.bank is None:
            self._set_bank(*self._whitened())
        super().end_task(batches)

    def _features_of(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        by = self.settings.shift
        if self.bank is None or not (by or self.settings.mirror):
            yield from super()._features_of(parts)
            return
        views = [self.bank.views(part, by) for part in parts]
        for view in zip(*views, strict=True):
            yield torch.cat(view)

    def _whitened(self) -> tuple[Tensor, Tensor]:
        """(n, k) filters W d and (n,) offsets, d of length 1; ZCA W = (C + ε I)^-½."""
        mean = self.moments[0, 1:] / self.moments[0, 0]
        covariance = self.moments[1:, 1:] / self.moments[0, 0] - torch.outer(mean, mean)
        values, vectors = torch.linalg.eigh(covariance)
        scale = (values.clamp(min=0) + self.settings.whitening).rsqrt()
        whiten = vectors * scale @ vectors.T
        filters = F.normalize((self.drawn - mean) @ whiten) @ whiten
        return filters.float(), (filters @ mean).float()

    def _set_bank(self, filters: Tensor, offsets: Tensor) -> None:
        filters, offsets = filters.to(self.device), offsets.to(self.device)
        self.bank = Bank(filters, offsets, self.size, self.settings)
        self.features = self.bank
        self.drawn, self.keys = self.drawn[:0], self.keys[:0]
        self.moments = torch.zeros_like(self.moments)

    @property
    def _in_bank(self) -> int:
        return 0 if self.bank is None else self.bank.filters.numel() + self.bank.offsets.numel()

    @property
    def kept(self) -> int:
        """Numbers in the sums and of the filters."""
        return super().kept + self._in_bank

    @property
    def kept_bytes(self) -> int:
        """8 a number in the sums, 4 of the filters."""
        return 8 * super().kept + 4 * self._in_bank

    def state_dict(self) -> State:
        """The sums, the filters and, in the first task, what they will be made from."""
        filters = None if self.bank is None else [self.bank.filters, self.bank.offsets]
        own = {"drawn": self.drawn, "keys": self.keys, "moments": self.moments}
        return {**super().state_dict(), "filters": filters, **own}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        super().load_state_dict(state)
        if state["filters"] is not None:
            self._set_bank(*state["filters"])
        self.drawn, self.moments = (state[n].to(self.device).clone() for n in ("drawn", "moments"))
        self.keys = state["keys"].cpu().clone()
