"""The one place where flat weights get names and shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the generated parameters, in the order of the flat vector.

    Attributes:
        outputs: width of the task's head.
        shapes: shape of each generated parameter by name.
        layers: number of generated weights of each layer (module), in the same order.
        scales: names of the parameters that scale a normalised activation. They are generated
            as deviations from 1, since a scale near 0 would silence its layer.
    """

    outputs: int
    shapes: Mapping[str, torch.Size]
    layers: tuple[int, ...]
    scales: frozenset[str]

    @property
    def total(self) -> int:
        """N, the number of generated weights."""
        return sum(self.layers)

    def variances(self) -> Float[Tensor, " N"]:
        """The variance of each weight that keeps a signal's size through its layer.

        He et al. 2015 (arXiv 1502.01852) for matrices and filters; biases and deviations of
        scales start near 0.
        """
        return torch.cat([_variance(s).expand(s.numel()) for s in self.shapes.values()])

    def split(self, flat: Float[Tensor, " N"]) -> dict[str, Tensor]:
        """Named parameters from a flat weight vector.

        Of a vector in bf16, biases and scales are made float32: normalisation wants them so.
        """
        sizes = [shape.numel() for shape in self.shapes.values()]
        named = dict(zip(self.shapes, torch.split(flat, sizes), strict=True))
        return {name: self._shaped(name, part) for name, part in named.items()}

    def _shaped(self, name: str, part: Tensor) -> Tensor:
        shape = self.shapes[name]
        if len(shape) < 2:
            part = part.to(torch.promote_types(part.dtype, torch.float32))
        return part.view(shape) + 1.0 if name in self.scales else part.view(shape)


def layout_of(module: nn.Module, shapes: Mapping[str, torch.Size], outputs: int) -> Layout:
    """The layout of parameters of `module` that have these shapes, in this order."""
    modules = dict(module.named_modules())
    owners = {name: name.rpartition(".")[0] for name in shapes}
    layers: dict[str, int] = {}
    for name, shape in shapes.items():
        layers[owners[name]] = layers.get(owners[name], 0) + shape.numel()
    scales = frozenset(
        name
        for name in shapes
        if name.endswith("weight") and isinstance(modules[owners[name]], _NORMS)
    )
    return Layout(outputs, shapes, tuple(layers.values()), scales)


def _variance(shape: torch.Size) -> Tensor:
    fan_in = math.prod(shape[1:])
    return torch.tensor(2.0 / fan_in if len(shape) > 1 else 1e-4)
