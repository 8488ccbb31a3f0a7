"""EfficientNet-Lite0 in two: early blocks, which are run once, and late ones, to be adapted."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from examples.models.efficientnet import Lite0, lite0, prepare
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hypermnesia import frozen_features

CUT, SEEN, LATE = 5, 7, 11  # blocks: where both parts meet, tasks are seen, adapters begin
POINTWISE = ["_expand_conv", "_project_conv", "conv"]  # convolutions of 1x1


def fused(network: Lite0) -> Lite0:
    """Fold batch norms into the convolutions before them: the same features in less time."""
    network = copy.deepcopy(network)
    pairs = [(network, "_conv_stem", "_bn0"), (network, "_conv_head", "_bn1")]
    blocks: Any = network._blocks
    for block in blocks:
        pairs += [(block, "_expand_conv", "_bn0")] if block.expands else []
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
    for owner, convolution, norm in pairs:
        joined = fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm))
        setattr(owner, convolution, joined)
        setattr(owner, norm, nn.Identity())
    return network.to(memory_format=torch.channels_last)


class Early(nn.Module):
    """(n, 3, 32, 32) images in [0, 1] to (n, 40, 12, 12) maps in half precision."""

    def __init__(self, network: Lite0, size: int = 96) -> None:
        super().__init__()
        network, self.size = fused(network), size
        blocks: Any = network._blocks
        self.stem, self.blocks = network._conv_stem, nn.Sequential(*blocks[:CUT])

    def forward(self, images: Tensor) -> Tensor:
        """The maps."""
        x = prepare(255 * images, self.size).contiguous(memory_format=torch.channels_last)
        maps: Tensor = self.blocks(F.relu6(self.stem(x)))
        return maps.half().contiguous()


class Middle(nn.Module):
    """Those maps to what late blocks are given, and to what tasks are told apart by.

    (n, 112, 6, 6) maps behind block `LATE`, and (n, 2784) means over positions of what this block,
    each one near it and the last convolution give: each layer's brought to mean 0 and variance 1.
    """

    def __init__(self, network: Lite0) -> None:
        super().__init__()
        network = fused(network)
        blocks: Any = network._blocks
        self.blocks, self.conv = nn.Sequential(*blocks[CUT:]), network._conv_head

    def forward(self, maps: Tensor) -> dict[str, Tensor]:
        """Both, in half precision."""
        x, kept, means = maps.float().contiguous(memory_format=torch.channels_last), maps, []
        for number, block in enumerate(self.blocks, CUT):
            x = block(x)
            kept = x if number == LATE - 1 else kept
            means += [x.mean((2, 3))] if number >= SEEN else []
        means = [F.relu6(self.conv(x)).mean((2, 3)).sqrt(), *means]
        seen = torch.cat([F.layer_norm(each, each.shape[1:]) for each in means], dim=1)
        return {"maps": kept.half().contiguous(), "seen": seen.half()}


class Late(nn.Module):
    """Those to (n, outputs) logits. What is seen is only passed by, as a frozen layer."""

    def __init__(self, network: Lite0, outputs: int) -> None:
        super().__init__()
        network = fused(network)
        blocks: Any = network._blocks
        self.blocks, self.conv = nn.Sequential(*blocks[LATE:]), network._conv_head
        self.seen, self.head = nn.Identity(), nn.Linear(1280, outputs)

    def forward(self, maps: Tensor, seen: Tensor) -> Tensor:
        """The logits."""
        self.seen(seen)
        x = maps.float().contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.head(F.relu6(self.conv(self.blocks(x))).mean((2, 3)))
        return logits


def split(images: Tensor, folder: Path, size: int = 96) -> tuple[Tensor, Tensor]:
    """What `Late` takes of (n, 3, 32, 32) bytes, from a folder or made now."""
    first = frozen_features(Early(lite0(), size), images, folder, batch_size=100)
    found = frozen_features(Middle(lite0()), first, folder, batch_size=100)
    return found["maps"], found["seen"]
