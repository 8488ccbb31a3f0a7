"""What densities are shown of inputs: their entries, or a shared layer's activations."""

from __future__ import annotations

from collections.abc import Iterable

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


def rows_of(pairs: Iterable[tuple[Tree, Tensor]]) -> tuple[Tensor, Tensor]:
    """(n, D) entries of batches of inputs, and (n, ...) targets.

    Of inputs with too many entries, every second, fourth, ... sample is taken.
    """
    kept: list[tuple[Tensor, Tensor]] = []
    stride, entries, seen = 1, 0, 0
    for inputs, y in pairs:
        own = slice(-seen % stride, None, stride)
        seen += len(y)
        kept.append((flat(inputs)[own], y[own]))
        entries += kept[-1][0].numel()
        while entries > _ENTRIES and entries > kept[0][0][:1].numel():
            x, y = _joined(kept)
            kept, stride = [(x[::2], y[::2])], 2 * stride
            entries = kept[0][0].numel()
    return _joined(kept)


def _joined(pairs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    x, y = zip(*pairs, strict=True)
    return torch.cat(x), torch.cat(y)


def _mean_of_tokens(activations: Tensor, mask: Tensor | None) -> Tensor:
    """(batch, channels) means of (batch, tokens, channels), over tokens that a mask shows."""
    if mask is None or mask.shape != activations.shape[:2]:
        return activations.mean(dim=1)
    weight = mask.to(activations)[:, :, None]
    return (activations * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


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

    def _activations(self, network: nn.Module, x: Tree) -> Tensor:
        found: list[Tensor] = []
        parts = dict(network.named_modules())
        if self.layer not in parts:
            rule, hint = "features must name a layer", f"such as {[*parts][-2:]}"
            raise ConfigError(rule, got=repr(self.layer), hint=hint)
        hook = parts[self.layer].register_forward_hook(lambda *seen: found.append(seen[2]))
        try:
            given, named = arguments(x)
            network(*given, **named)
        finally:
            hook.remove()
        own = found[-1]  # (batch, tokens, channels) or (batch, channels, *positions)
        if own.ndim == 3:
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
