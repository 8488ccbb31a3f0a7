"""Target networks, and their output layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, is_dataclass
from inspect import signature
from typing import Any, Literal, cast, get_type_hints

import torch
from torch import Tensor, nn

from hypermnesia import modules
from hypermnesia.errors import ConfigError, TargetError
from hypermnesia.registry import Registry, must_be
from hypermnesia.seeding import Generators
from hypermnesia.settings import Fraction, Width


@dataclass(frozen=True)
class Head:
    """An output layer and its name in the module."""

    name: str
    layer: nn.Linear

    @property
    def names(self) -> list[str]:
        """The names of its parameters in the module."""
        prefix = f"{self.name}." if self.name else ""
        return [prefix + name for name, _ in self.layer.named_parameters()]


def find_head(module: nn.Module, name: str | None = None) -> Head | None:
    """Find the linear layer `name` (or raise `TargetError`), or the last one; None without any."""
    linear = {n: m for n, m in module.named_modules() if isinstance(m, nn.Linear)}
    if name is None:
        return Head(*list(linear.items())[-1]) if linear else None
    if name not in linear:
        hint = f"choose one of: {', '.join(linear) or 'none there'}"
        rule = "the head must name a linear layer of the network"
        raise TargetError(rule, got=f"'{name}'", hint=hint)
    return Head(name, linear[name])


def blank_linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """Make a linear layer without initial values, as torch's draw from the global generator."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)  # type: ignore[no-untyped-call]
    return layer


def _check_untied(module: nn.Module, head: nn.Linear) -> None:
    everywhere = module.named_parameters(remove_duplicate=False)
    own = {id(parameter) for parameter in head.parameters()}
    tied = [name for name, parameter in everywhere if id(parameter) in own]
    if len(tied) > len(own):
        rule = "an output layer that is tied to another cannot be resized"
        hint = "untie them, or give every task the same number of outputs"
        raise TargetError(rule, got=", ".join(tied), hint=hint)


@torch.no_grad()
def with_outputs(
    module: nn.Module,
    outputs: int,
    generator: torch.Generator,
    head: str | None = None,
    shared: Collection[Tensor] = (),
) -> nn.Module:
    """Copy a module, with `outputs` outputs; rows that both have keep their values.

    New rows are uniform within ±1/sqrt(inputs), as torch starts a linear layer; `shared` tensors
    are not copied. Raises `TargetError` if there is no linear output layer, or one that is tied and
    must change.
    """
    copied = modules.copied(module, shared)
    found = _head_of(copied, head)
    old = found.layer
    if old.out_features == outputs:
        return copied
    _check_untied(copied, old)
    new = blank_linear(old.in_features, outputs, bias=old.bias is not None).to(old.weight)
    kept = min(outputs, old.out_features)
    for name, parameter in new.named_parameters():
        values = torch.rand(parameter.shape, generator=generator) * 2 - 1
        parameter.copy_(values.to(parameter) / old.in_features**0.5)
        parameter[:kept] = getattr(old, name)[:kept]
    return _with_layer(copied, found.name, new)


@torch.no_grad()
def with_columns(
    module: nn.Module, columns: slice | list[int], head: str | None = None
) -> nn.Module:
    """Copy a module with these outputs in turn; raises `TargetError` without a linear head."""
    copied = modules.copied(module)
    found = _head_of(copied, head)
    wide, outputs = found.layer, len(found.layer.weight[columns])
    new = blank_linear(wide.in_features, outputs, bias=wide.bias is not None).to(wide.weight)
    for name, parameter in new.named_parameters():
        parameter.copy_(getattr(wide, name)[columns])
    return _with_layer(copied, found.name, new)


def _with_layer(module: nn.Module, name: str, layer: nn.Module) -> nn.Module:
    """Put `layer` at `name`, which is empty for the module itself."""
    if name:
        module.set_submodule(name, layer)
    return module if name else layer


def _head_of(module: nn.Module, name: str | None) -> Head:
    found = find_head(module, name)
    if found is None:
        rule = "a network whose number of outputs follows the tasks must end in a linear layer"
        hint = "name the output layer, or end the network in an nn.Linear"
        raise TargetError(rule, got=type(module).__name__, hint=hint)
    return found


@dataclass(frozen=True)
class NetSettings:
    """Sizes of a network.

    Attributes:
        hidden: widths of an MLP's hidden layers, or of the layers after the convolutions.
        dropout: share of these hidden units that training leaves out at random.
    """

    hidden: tuple[Width, ...] = (400, 400)
    dropout: Fraction = 0.0
    activation: Literal["relu", "sigmoid", "tanh"] = "relu"


_ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
NetFactory = Callable[[Sequence[int], int, Any], nn.Module]
"""(sample shape, outputs, settings) -> network."""

NETS: Registry[NetFactory] = Registry("network", "networks", must_be("a function"))
"""Every target network, by name; a factory's third parameter is annotated with its settings."""


def build_net(
    name: str,
    sample_shape: Sequence[int],
    outputs: int,
    generators: Generators,
    settings: object | None = None,
) -> nn.Module:
    """Make a network of `NETS` from the random stream `network`; None stands for its defaults."""
    with generators.as_global("network"):
        return NETS[name](sample_shape, outputs, settings or net_settings(name)())


def net_settings(name: str) -> type:
    """Return the type of a network's settings; raises `ConfigError` if not a frozen dataclass."""
    factory: Any = NETS[name]
    third = [*signature(factory).parameters][2:3]
    function = vars(factory).get("__init__", factory) if isinstance(factory, type) else factory
    hints = get_type_hints(function)
    kind = hints[third[0]] if third and third[0] in hints else NetSettings
    if not is_dataclass(kind) or not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        rule = f"the network {name} must be (sample shape, outputs, settings: a frozen dataclass)"
        raise ConfigError(rule, got=kind)
    return cast(type, kind)


def mlp(sample_shape: Sequence[int], outputs: int, settings: NetSettings) -> nn.Sequential:
    """Build fully connected layers with an activation between them."""
    layers: list[nn.Module] = [nn.Flatten()]
    width = math.prod(sample_shape)
    for n in settings.hidden:
        layers += [nn.Linear(width, n), _ACTIVATIONS[settings.activation]()]
        layers += [nn.Dropout(settings.dropout)] if settings.dropout else []
        width = n
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def lenet(sample_shape: Sequence[int], outputs: int, settings: NetSettings) -> nn.Sequential:
    """Build two 5x5 convolutions with pooling (20 and 50 filters), then fully connected layers."""

    def block(n_in: int, n_out: int) -> list[nn.Module]:
        return [nn.Conv2d(n_in, n_out, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]

    convolutions = nn.Sequential(*block(sample_shape[0], 20), *block(20, 50))
    return nn.Sequential(convolutions, *_classifier(convolutions, sample_shape, outputs, settings))


def zenke(sample_shape: Sequence[int], outputs: int, settings: NetSettings) -> nn.Sequential:
    """Build the CIFAR network of Zenke et al. 2017 (arXiv 1703.04200, appendix)."""

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
        self.shortcut: nn.Module = nn.Identity()
        if n_in != n_out or stride != 1:
            convolution = nn.Conv2d(n_in, n_out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet(
    sample_shape: Sequence[int], outputs: int, settings: NetSettings, blocks: int
) -> nn.Sequential:
    """Build a ResNet for small images: 16 filters, then so many blocks each of 16, 32 and 64."""
    first, n_in = nn.Conv2d(sample_shape[0], 16, 3, padding=1, bias=False), 16
    layers: list[nn.Module] = [first, nn.BatchNorm2d(16), nn.ReLU()]
    for n_out, first_stride in ((16, 1), (32, 2), (64, 2)):
        for stride in (first_stride, *[1] * (blocks - 1)):
            layers.append(_Residual(n_in, n_out, stride))
            n_in = n_out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), *mlp((64,), outputs, settings))


def resnet32(sample_shape: Sequence[int], outputs: int, settings: NetSettings) -> nn.Sequential:
    """Build ResNet-32 for small images: `resnet` of five blocks each."""
    return resnet(sample_shape, outputs, settings, 5)


for _name, _net in (("mlp", mlp), ("lenet", lenet), ("zenke", zenke), ("resnet32", resnet32)):
    NETS.add(_name, _net)
