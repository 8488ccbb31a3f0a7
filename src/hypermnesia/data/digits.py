"""scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels, no download needed.

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998.
"""

from __future__ import annotations

from pathlib import Path

import torch

from hypermnesia.data.images import ImageData

TEST_EVERY = 5
"""Of each class's images, in the order of the file, every fifth is for testing."""


def load_digits(data_dir: Path | None = None) -> ImageData:  # noqa: ARG001 - the images are inside scikit-learn
    """The digits, with the same 1,442 training and 355 test images in every run."""
    # Here, as importing it takes a second.
    from sklearn import datasets  # type: ignore[import-untyped]

    bunch = datasets.load_digits()
    x = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    y = torch.from_numpy(bunch.target).long()
    position = torch.zeros_like(y)
    for label in range(10):
        mask = y == label
        position[mask] = torch.arange(int(mask.sum()))
    test = position % TEST_EVERY == TEST_EVERY - 1
    return ImageData(x[~test], y[~test], x[test], y[test], 10, 16.0)
