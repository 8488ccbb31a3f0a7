"""The parts into which the benchmark of images takes EfficientNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from benchmarks.late_blocks import Early, Late, Middle
from examples.models.efficientnet import Lite0, prepare
from torch import nn


@torch.no_grad()
def test_the_parts_give_what_the_network_gives() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, images = Lite0(outputs=4), torch.rand(6, 3, 32, 32)
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.weight, 1, 0.3)
                nn.init.normal_(part.running_mean, 0, 0.1)
    network.eval()
    late = Late(network, 4)
    late.head.load_state_dict(network._fc.state_dict())
    middle = Middle(network)(Early(network, 64)(images))
    assert middle["maps"].shape == (6, 112, 4, 4)
    assert middle["seen"].shape == (6, 1280 + 80 + 3 * 112 + 4 * 192 + 320)
    shown = prepare(255 * images, 64)
    expected, features = network(shown), network.features(shown).sqrt()
    assert (late(**middle) - expected).norm() < 0.01 * expected.norm()
    seen = F.layer_norm(features, (1280,))
    assert (middle["seen"][:, :1280] - seen).norm() < 0.02 * seen.norm()
