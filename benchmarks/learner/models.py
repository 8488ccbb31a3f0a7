"""Models as people have them: none of them knows of hypernetworks; tests use them too."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Block(nn.Module):
    """torchvision's BasicBlock."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(n, inputs, h, w) to (n, outputs, h / stride, w / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet18(nn.Module):
    """torchvision's resnet18, layer by layer: 11.2 million parameters with ten outputs."""

    def __init__(self, outputs: int = 1000) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = (64, 64, 128, 256, 512)
        for n in range(1, 5):
            first = Block(widths[n - 1], widths[n], 1 if n == 1 else 2)
            setattr(self, f"layer{n}", nn.Sequential(first, Block(widths[n], widths[n], 1)))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) images to (n, outputs) logits."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class TokenTransformer(nn.Module):
    """Token ids, positions, a transformer's encoder, the mean of what it gives."""

    def __init__(self, words: int = 12, width: int = 16, outputs: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        steps = torch.arange(32)[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
        self.register_buffer("positions", torch.cat([steps.sin(), steps.cos()], 1))
        layer = nn.TransformerEncoderLayer(width, 2, 2 * width, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.out = nn.Linear(width, outputs)
        self.scale = math.sqrt(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, words) ids to (n, outputs) logits."""
        embedded = self.embed(x) * self.scale + self.positions[: x.shape[1]]
        return self.out(self.encoder(embedded).mean(1))


class Recurrent(nn.Module):
    """Token ids to the last state of a recurrent layer."""

    def __init__(self, kind: type[nn.RNNBase], words: int = 12, outputs: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 12)
        self.layer = kind(12, 16, batch_first=True)
        self.out = nn.Linear(16, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(n, words) ids to (n, outputs) logits."""
        return self.out(self.layer(self.embed(x))[0][:, -1])


class Curve(nn.Sequential):
    """One number to one number."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 1)
        )
