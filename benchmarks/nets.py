"""Target networks that benchmarks name: `--set target.net=benchmarks.nets:resnet8`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from hypermnesia.nets import NetSettings, _Residual, mlp


def resnet8(sample_shape: Sequence[int], outputs: int, settings: NetSettings) -> nn.Module:
    """Build a ResNet for small images, with a block each of 16, 32 and 64 filters."""
    first = nn.Conv2d(sample_shape[0], 16, 3, padding=1, bias=False)
    blocks = [_Residual(16, 16, 1), _Residual(16, 32, 2), _Residual(32, 64, 2)]
    head = mlp((64,), outputs, settings)
    return nn.Sequential(
        first, nn.BatchNorm2d(16), nn.ReLU(), *blocks, nn.AdaptiveAvgPool2d(1), *head
    )
