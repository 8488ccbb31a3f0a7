"""Target networks that benchmarks name: `--set target.net=benchmarks.nets:resnet8`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from hypermnesia.nets import NetSettings, resnet


def resnet8(sample_shape: Sequence[int], outputs: int, settings: NetSettings) -> nn.Module:
    """Build a ResNet for small images, with a block each of 16, 32 and 64 filters."""
    return resnet(sample_shape, outputs, settings, 1)
