"""What densities are shown of inputs: their entries, or a shared layer's activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.errors import ConfigError, DataError
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.tree import Tree, arguments, one_tensor

_ENTRIES = 2**25  # of the rows that a density is fitted to (256 MiB): of more, every second


def flat(x: Tree) -> Tensor:
    """(batch, D) float64 entries of (batch, *sample) inputs; raises `DataError` for ids."""
    tensor: Tensor = one_tensor(x, "a density")
    if not tensor.is_floating_point():
        rule, got = "densities are of inputs that are real numbers", str(tensor.dtype)
        hint = "infer tasks by entropy, or convert measurements to floats"
        raise DataError(rule, got=got.removeprefix("torch."), hint=hint)
    return tensor.flatten(1).double()


class Rows:
    """Entries and targets of batches; of too many entries those of every second, fourth, ... row.

    `seen` gives the (batch, D) entries of inputs.
    """

    def __init__(self, seen: Callable[[Tree], Tensor]) -> None:
        self.seen, self._kept = seen, list[tuple[Tensor, Tensor]]()
        self._stride, self._rows, self._entries = 1, 0, 0

    def add(self, inputs: Tree, y: Tensor) -> None:
        """Take a batch."""
        own = slice(-self._rows % self._stride, None, self._stride)
        self._rows += len(y)
        self._kept.append((self.seen(inputs)[own], y[own]))
        self._entries += self._kept[-1][0].numel()
        while self._entries > _ENTRIES and self._entries > self._kept[0][0][:1].numel():
            x, y = self.joined()
            self._kept, self._stride = [(x[::2], y[::2])], 2 * self._stride
            self._entries = self._kept[0][0].numel()

    def joined(self) -> tuple[Tensor, Tensor]:
        """(n, D) entries and (n, ...) targets."""
        x, y = zip(*self._kept, strict=True)
        return torch.cat(x), torch.cat(y)


def rows_of(
    pairs: Iterable[tuple[Tree, Tensor]], seen: Callable[[Tree], Tensor] = flat
) -> tuple[Tensor, Tensor]:
    """(n, D) entries of batches of inputs, and (n, ...) targets, as of `Rows`."""
    rows = Rows(seen)
    for inputs, y in pairs:
        rows.add(inputs, y)
    return rows.joined()


def _mean_of_tokens(activations: Tensor, mask: Tensor | None) -> Tensor:
    """(batch, channels) means of (batch, tokens, channels), over tokens that a mask shows."""
    if mask is None or mask.shape != activations.shape[:2]:
        return activations.mean(dim=1)
    weight = mask.to(activations)[:, :, None]
    return (activations * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


class _Reached(Exception):
    """A layer has been run."""


def _output(
    network: nn.Module, layer: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]
) -> Tensor:
    """What a layer of a network gives, the first time; only what comes before it is run."""
    found: list[Tensor] = []

    def stop(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(output)
        if not torch.compiler.is_compiling():  # what is exported must leave by its end
            raise _Reached

    hook = layer.register_forward_hook(stop)
    try:
        network(*given, **named)
    except _Reached:
        pass
    finally:
        hook.remove()
    if not found:
        rule = "features must name a layer that the network runs"
        raise ConfigError(rule, got=type(layer).__name__, hint="name another one")
    return found[0]


class SharedLayer:
    """Activations of a named layer that no task has for itself: of a frozen backbone, say.

    The layer is asked for within the first task's network. What the hypernetwork makes would drift
    under the densities, so nothing generated may come before it. Maps are averaged over positions,
    and tokens over those that an `attention_mask` among the inputs shows.
    """

    def __init__(self, memory: WeightMemory, layer: str) -> None:
        self.memory, self.layer = memory, layer
        self._network: nn.Module | None = None

    def forget(self) -> None:
        """Ask the network as it is now from here on."""
        self._network = None

    @torch.no_grad()
    def __call__(self, x: Tree) -> Tensor:
        """(batch, channels) activations of (batch, *sample) inputs."""
        if self._network is None:
            network = self.memory.export(0).to(self.memory.device)
            self._check(network, x)
            self._network = network
        return self._activations(self._network, x)

    def module(self) -> nn.Module:
        """(batch, channels) float64 activations as a module, on the CPU."""
        return _LayerModule(self)

    def _activations(self, network: nn.Module, x: Tree) -> Tensor:
        parts = dict(network.named_modules())
        if self.layer not in parts:
            rule, hint = "features must name a layer", f"such as {[*parts][-2:]}"
            raise ConfigError(rule, got=repr(self.layer), hint=hint)
        given, named = arguments(x)
        own = _output(network, parts[self.layer], given, named)
        if own.ndim == 3:  # (batch, tokens, channels); or (batch, channels, *positions)
            return _mean_of_tokens(own, named.get("attention_mask"))
        return own.flatten(2).mean(dim=2) if own.ndim > 3 else own

    def _check(self, network: nn.Module, x: Tree) -> None:
        """Raise `ConfigError` if activations change with the weights that tasks have."""
        other, shared = self.memory.export(0).to(self.memory.device), self.memory.target.shared
        for name, parameter in other.named_parameters():
            if name not in shared:
                parameter.zero_()
        if not torch.equal(self._activations(network, x), self._activations(other, x)):
            rule = "features must be of a part that all tasks share"
            hint = "freeze what comes before the layer, or leave it out of generated"
            raise ConfigError(
                rule, got=f"{self.layer!r}, which tasks have for themselves", hint=hint
            )


class _LayerModule(nn.Module):
    """What a `SharedLayer` gives, of the first task's network as it is now."""

    def __init__(self, layer: SharedLayer) -> None:
        super().__init__()
        self.network, self._activations = layer.memory.export(0), layer._activations

    def forward(self, x: Tensor) -> Tensor:
        return flat(self._activations(self.network, x))
