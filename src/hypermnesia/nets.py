"""Plain target networks, ordinary modules that know nothing of hypernetworks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hypermnesia.registry import Registry
from hypermnesia.seeding import Generators


@dataclass(frozen=True)
class NetSettings:
    """Which network.

    Attributes:
        name: a name in `NETS`.
        hidden: widths of an MLP's hidden layers, or of the layers after the convolutions.
        dropout: share of these hidden units that training leaves out at random.
    """

    name: str = "mlp"
    hidden: tuple[int, ...] = (400, 400)
    dropout: float = 0.0


NetFactory = Callable[[Sequence[int], int, NetSettings], nn.Module]
"""(sample shape, outputs, settings) -> network."""

NETS: Registry[NetFactory] = Registry("network")
"""Every target network, by name."""


def build_net(
    settings: NetSettings, sample_shape: Sequence[int], outputs: int, generators: Generators
) -> nn.Module:
    """A fresh network for samples of a shape, drawn from the generator called `network`."""
    with generators.as_global("network"):
        return NETS[settings.name](sample_shape, outputs, settings)


def mlp(sample_shape: Sequence[int], outputs: int, settings: NetSettings) -> nn.Sequential:
    """Fully connected layers with ReLU between them."""
    layers: list[nn.Module] = [nn.Flatten()]
    width = math.prod(sample_shape)
    for n in settings.hidden:
        layers += [nn.Linear(width, n), nn.ReLU()]
        layers += [nn.Dropout(settings.dropout)] if settings.dropout else []
        width = n
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def lenet(sample_shape: Sequence[int], outputs: int, settings: NetSettings) -> nn.Sequential:
    """Two 5x5 convolutions with pooling (20 and 50 filters), then fully connected layers."""
    convolutions = nn.Sequential(
        nn.Conv2d(sample_shape[0], 20, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(20, 50, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    return nn.Sequential(convolutions, *_classifier(convolutions, sample_shape, outputs, settings))


def zenke(sample_shape: Sequence[int], outputs: int, settings: NetSettings) -> nn.Sequential:
    """The CIFAR network of Zenke et al. 2017 (arXiv 1703.04200, appendix)."""

    def block(n_in: int, n_out: int) -> list[nn.Module]:
        convolutions = [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(), nn.Conv2d(n_out, n_out, 3)]
        return [*convolutions, nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)]

    convolutions = nn.Sequential(*block(sample_shape[0], 32), *block(32, 64))
    return nn.Sequential(convolutions, *_classifier(convolutions, sample_shape, outputs, settings))


def _classifier(
    convolutions: nn.Module, sample_shape: Sequence[int], outputs: int, settings: NetSettings
) -> list[nn.Module]:
    convolutions.eval()
    with torch.no_grad():
        shape = convolutions(torch.zeros(1, *sample_shape)).shape[1:]
    convolutions.train()
    return list(mlp(shape, outputs, settings))


class _Residual(nn.Module):
    """Two 3x3 convolutions with batch-norm around a shortcut (He et al. 2016)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        same = n_in == n_out and stride == 1
        self.shortcut: nn.Module = nn.Identity()
        if not same:
            convolution = nn.Conv2d(n_in, n_out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet32(sample_shape: Sequence[int], outputs: int, settings: NetSettings) -> nn.Sequential:
    """ResNet-32 for small images: 16 filters, then five blocks each of 16, 32 and 64."""
    layers: list[nn.Module] = [
        nn.Conv2d(sample_shape[0], 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
    ]
    n_in = 16
    for n_out, first_stride in ((16, 1), (32, 2), (64, 2)):
        for stride in (first_stride, 1, 1, 1, 1):
            layers.append(_Residual(n_in, n_out, stride))
            n_in = n_out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), *mlp((64,), outputs, settings))


for _name, _net in (("mlp", mlp), ("lenet", lenet), ("zenke", zenke), ("resnet32", resnet32)):
    NETS.add(_name, _net)
