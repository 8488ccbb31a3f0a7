"""The output layer of a module: finding it, and giving it another width."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from hypermnesia.errors import TargetError


@dataclass(frozen=True)
class Head:
    """An output layer.

    Attributes:
        name: its name in the module.
        layer: the layer itself.
    """

    name: str
    layer: nn.Linear

    @property
    def names(self) -> list[str]:
        """Names of its parameters in the module."""
        prefix = f"{self.name}." if self.name else ""
        return [prefix + name for name, _ in self.layer.named_parameters()]


def find_head(module: nn.Module, name: str | None = None) -> Head | None:
    """The output layer called `name`, or the module's last `nn.Linear`; None if it has none.

    Raises:
        TargetError: `name` is not a linear layer of the module.
    """
    linear = {n: m for n, m in module.named_modules() if isinstance(m, nn.Linear)}
    if name is None:
        return Head(*list(linear.items())[-1]) if linear else None
    if name not in linear:
        raise TargetError(
            "the head must name a linear layer of the network",
            got=f"'{name}'",
            cure=f"choose one of: {', '.join(linear) or 'none there'}",
        )
    return Head(name, linear[name])


def blank_linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer without torch's initial values, which draw from the global generator."""
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)  # type: ignore[no-untyped-call]
    return layer


def _check_untied(module: nn.Module, head: nn.Linear) -> None:
    everywhere = module.named_parameters(remove_duplicate=False)
    own = {id(parameter) for parameter in head.parameters()}
    tied = [name for name, parameter in everywhere if id(parameter) in own]
    if len(tied) > len(own):
        raise TargetError(
            "an output layer that is tied to another cannot be resized",
            got=", ".join(tied),
            cure="untie them, or give every task the same number of outputs",
        )


@torch.no_grad()
def with_outputs(
    module: nn.Module, outputs: int, generator: torch.Generator, head: str | None = None
) -> nn.Module:
    """A copy of `module` with `outputs` outputs; rows that both have keep their values.

    New rows are uniform within ±1/sqrt(inputs), as torch starts a linear layer.

    Raises:
        TargetError: another width is needed and there is no linear output layer, or a tied one.
    """
    resized: nn.Module = copy.deepcopy(module)
    found = find_head(resized, head)
    if found is None:
        raise _no_head(module)
    old = found.layer
    if old.out_features == outputs:
        return resized
    _check_untied(resized, old)
    new = blank_linear(old.in_features, outputs, bias=old.bias is not None).to(old.weight)
    kept = min(outputs, old.out_features)
    for name, parameter in new.named_parameters():
        values = torch.rand(parameter.shape, generator=generator) * 2 - 1
        parameter.copy_(values.to(parameter) / old.in_features**0.5)
        parameter[:kept] = getattr(old, name)[:kept]
    if not found.name:
        return new
    resized.set_submodule(found.name, new)
    return resized


@torch.no_grad()
def with_columns(module: nn.Module, columns: slice, head: str | None = None) -> nn.Module:
    """A copy of `module` that gives only these of its outputs.

    Raises:
        TargetError: it has no linear output layer.
    """
    narrowed: nn.Module = copy.deepcopy(module)
    found = find_head(narrowed, head)
    if found is None:
        raise _no_head(module)
    wide, own = found.layer, range(found.layer.out_features)[columns]
    layer = blank_linear(wide.in_features, len(own), bias=wide.bias is not None).to(wide.weight)
    for name, parameter in layer.named_parameters():
        parameter.copy_(getattr(wide, name)[columns])
    if not found.name:
        return layer
    narrowed.set_submodule(found.name, layer)
    return narrowed


def _no_head(module: nn.Module) -> TargetError:
    return TargetError(
        "a network whose number of outputs follows the tasks must end in a linear layer",
        got=type(module).__name__,
        cure="name the output layer, or end the network in an nn.Linear",
    )
