"""Random changes to training images that leave their class as it is."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from hypermnesia.registry import Registry

Augment = Callable[[Tensor, torch.Generator], Tensor]

AUGMENTATIONS: Registry[Augment] = Registry("augmentation")


def flip_and_crop(x: Tensor, generator: torch.Generator, padding: int = 4) -> Tensor:
    """Pad each image with zeros, crop it to its size at random, mirror it with probability 1/2.

    Args:
        x: (batch, channels, height, width) images.
        generator: CPU generator of the random numbers.
        padding: pixels added on each side before cropping.

    Returns:
        (batch, channels, height, width) changed images.
    """
    batch, channels, height, width = x.shape
    top = torch.randint(2 * padding + 1, (batch, 1), generator=generator)
    left = torch.randint(2 * padding + 1, (batch, 1), generator=generator)
    flip = torch.randint(2, (batch, 1), generator=generator).bool()
    rows = top + torch.arange(height)
    columns = left + torch.arange(width)
    columns = torch.where(flip, columns.flip(1), columns)
    padded = F.pad(x, (padding,) * 4).flatten(2)
    pixels = rows[:, :, None] * (width + 2 * padding) + columns[:, None, :]
    index = pixels.flatten(1)[:, None, :].to(x.device).expand(-1, channels, -1)
    return padded.gather(2, index).reshape(x.shape)


AUGMENTATIONS.add("flip-crop", flip_and_crop)
