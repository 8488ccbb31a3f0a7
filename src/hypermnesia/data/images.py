"""An image data set in memory, as every source hands it over."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ImageData:
    """Training and test images of one data set, as stored.

    Attributes:
        train_x: (n, channels, height, width) uint8 training images.
        train_y: (n,) int64 their classes.
        test_x: (m, channels, height, width) uint8 test images.
        test_y: (m,) int64 their classes.
        classes: number of classes.
        scale: the largest stored value, what a batch is divided by to lie in [0, 1].
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: int
    scale: float
