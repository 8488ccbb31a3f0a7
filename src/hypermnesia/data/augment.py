"""Random changes to training images that leave their class as it is."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from hypermnesia.registry import Registry

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""(batch of (n, channels, height, width) images, generator) -> images of the same shape."""

AUGMENTATIONS: Registry[Augment] = Registry("augmentation")
"""Every augmentation, by name."""


def shift(x: Tensor, generator: torch.Generator, padding: int = 2) -> Tensor:
    """Move each image by up to `padding` pixels at random; zeros move in.

    Args:
        x: (batch, channels, height, width) images.
        generator: CPU generator of the random numbers.
        padding: largest move along each axis, in pixels.

    Returns:
        (batch, channels, height, width) changed images.
    """
    rows, columns = _windows(x, generator, padding)
    return _pick(x, rows, columns, padding)


def flip_and_crop(x: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """`shift` each image, then mirror it with probability 1/2 (He et al. 2016, for CIFAR)."""
    rows, columns = _windows(x, generator, padding)
    flip = torch.randint(2, (len(x), 1), generator=generator).bool()
    return _pick(x, rows, torch.where(flip, columns.flip(1), columns), padding)


def _windows(x: Tensor, generator: torch.Generator, padding: int) -> tuple[Tensor, Tensor]:
    """(batch, height) rows and (batch, width) columns of the padded image to take."""
    top = torch.randint(2 * padding + 1, (len(x), 1), generator=generator)
    left = torch.randint(2 * padding + 1, (len(x), 1), generator=generator)
    return top + torch.arange(x.shape[2]), left + torch.arange(x.shape[3])


def _pick(x: Tensor, rows: Tensor, columns: Tensor, padding: int) -> Tensor:
    padded = F.pad(x, (padding,) * 4).flatten(2)
    pixels = rows[:, :, None] * (x.shape[3] + 2 * padding) + columns[:, None, :]
    index = pixels.flatten(1)[:, None, :].to(x.device).expand(-1, x.shape[1], -1)
    return padded.gather(2, index).reshape(x.shape)


AUGMENTATIONS.add("shift", shift)
AUGMENTATIONS.add("flip-crop", flip_and_crop)
