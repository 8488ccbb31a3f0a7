"""How much each parameter of a network mattered for a task it has learned.

The diagonal of the Fisher information, for elastic weight consolidation (Kirkpatrick et al. 2017,
arXiv 1612.00796), and the path integral of synaptic intelligence (Zenke, Poole, Ganguli 2017,
arXiv 1703.04200).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from hypermnesia.errors import ConfigError

Values = dict[str, Tensor]
"""Tensors by the names and of the shapes of a network's parameters."""

_GRADIENT_BYTES = 2**28
_POINTWISE = (nn.ReLU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Dropout, nn.Identity)


def drawn_inputs(
    inputs: Iterable[Tensor], samples: int | None, generator: torch.Generator
) -> Iterator[Tensor]:
    """Batches of `samples` of the inputs, drawn without replacement; of all of them for None.

    The batches are read once, and no more than `samples` and one of them are kept.

    Args:
        inputs: (batch, *sample) each.
        samples: how many to draw.
        generator: CPU generator that draws.
    """
    if samples is None:
        yield from inputs
        return
    kept, keys = None, torch.empty(0)
    for x in inputs:
        # Every sample has a random key; those with the largest keys are a random subset.
        keys = torch.cat([keys, torch.rand(len(x), generator=generator)])
        kept = x if kept is None else torch.cat([kept, x])
        best = keys.topk(min(samples, len(keys))).indices
        keys, kept = keys[best], kept[best.to(x.device)]
    if kept is not None:
        yield kept


def diagonal_fisher(network: nn.Module, inputs: Iterable[Tensor], columns: slice) -> Values:
    """F_i = mean over x of E_{y ~ p(y | x)} (∂ log p(y | x) / ∂θ_i)².

    Gradients are squared sample by sample, and the expectation over the answers y is exact: every
    class, weighted by the probability that the network gives it. (Given labels would make it the
    "empirical" Fisher, which vanishes with the training loss.) The sum over samples is taken by
    `summed_by_layer` where it can be, and by `summed_by_sample` otherwise; both are exact.

    Args:
        network: in evaluation mode, so that samples do not depend on each other.
        inputs: (batch, *sample) each, together one sample or more.
        columns: the outputs among which x is answered; p is the softmax over them.

    Raises:
        ConfigError: there is no sample.
    """
    total = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    samples = 0
    for x in inputs:
        summed = summed_by_layer if is_plain(network, x) else summed_by_sample
        for name, values in summed(network, x, columns).items():
            total[name] += values
        samples += len(x)
    if samples == 0:
        raise ConfigError("a Fisher information is estimated on samples", got="none")
    return {name: values.detach() / samples for name, values in total.items()}


def summed_by_sample(network: nn.Module, x: Tensor, columns: slice) -> Values:
    """The sum over samples, by its definition: every sample's gradient for every class.

    For (batch, *sample) inputs and any module that `torch.func.vmap` can run; slices bound the
    memory of the gradients.
    """
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def log_probabilities(parameters: Values, sample: Tensor) -> tuple[Tensor, Tensor]:
        scores = functional_call(network, (parameters, buffers), (sample[None],))
        logs = scores[0, columns].log_softmax(dim=0)
        return logs, logs

    gradients = vmap(jacrev(log_probabilities, has_aux=True), in_dims=(None, 0))
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for part in torch.split(x, _slice(parameters, columns)):
        of_class, logs = gradients(parameters, part)
        for name, g in of_class.items():
            total[name] += torch.einsum("nc,nc...->...", logs.exp(), g.square())
    return total


def _slice(parameters: Values, columns: slice) -> int:
    """Samples whose gradients for all classes fit into the memory that they may take."""
    one = sum(p.numel() * p.element_size() for p in parameters.values())
    classes: int = columns.stop - columns.start
    return max(1, _GRADIENT_BYTES // (one * classes))


def is_plain(network: nn.Module, x: Tensor) -> bool:
    """Whether `network` is but fully connected layers in a row, for (batch, *sample) inputs `x`."""
    if type(network) is not nn.Sequential:
        return False
    modules, flat = list(network), x.dim() == 2
    every = list(network.named_parameters(remove_duplicate=False))
    once = len(set(modules)) == len(modules) and len(list(network.parameters())) == len(every)
    if modules and isinstance(modules[0], nn.Flatten):
        flat = (modules[0].start_dim, modules[0].end_dim) == (1, -1)
        modules = modules[1:]
    known = all(type(module) in (nn.Linear, *_POINTWISE) for module in modules)
    return flat and known and once and not any(getattr(m, "inplace", False) for m in modules)


def summed_by_layer(network: nn.Module, x: Tensor, columns: slice) -> Values:
    """The same for a network that `is_plain`, without ever making a sample's weight gradient.

    A layer's weight gradient for sample n is g_n a_nᵀ, with its input a_n and the gradient g_n of
    its output, so the sum over samples of its squares is Σ_n g_n² (a_n²)ᵀ: one product.

    Args:
        network: the one.
        x: (batch, *sample) inputs.
        columns: of its outputs, those that are classes of the task.
    """
    layers, inputs, outputs, h = [], [], [], x
    for name, module in network.named_children():
        before, h = h, module(h)
        if isinstance(module, nn.Linear):
            layers.append((name, module))
            inputs.append(before.detach())
            outputs.append(h)
    squares = _expected_squares(h[:, columns].log_softmax(dim=1), outputs)
    total = {}
    for (name, layer), a, g in zip(layers, inputs, squares, strict=True):
        total[f"{name}.weight"] = g.T @ a.square()
        if layer.bias is not None:
            total[f"{name}.bias"] = g.sum(dim=0)
    return total


def _expected_squares(logs: Tensor, outputs: list[Tensor]) -> list[Tensor]:
    """E_y (∂ log p(y | x_n) / ∂z_n)² for each of the `outputs` z, (batch, width) each."""
    probabilities = logs.detach().exp()
    total = [torch.zeros_like(z) for z in outputs]
    for c in range(logs.shape[1]):
        # A sample's outputs reach only its own row of `logs`: the sum keeps samples apart.
        gradients = torch.autograd.grad(logs[:, c].sum(), outputs, retain_graph=True)
        for squares, g in zip(total, gradients, strict=True):
            squares += probabilities[:, c, None] * g.square()
    return total


class PathIntegral:
    """ω_i = -Σ_steps g_i Δθ_i along a task's training: the share of θ_i in the loss's fall.

    Args:
        parameters: where the path begins.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.start = {name: p.detach().clone() for name, p in parameters.items()}
        self.omega = {name: torch.zeros_like(p) for name, p in self.start.items()}

    def add(self, gradients: Mapping[str, Tensor], changes: Mapping[str, Tensor]) -> None:
        """One step: the gradients of the task's loss, and the change Δθ that the step made."""
        for name, gradient in gradients.items():
            self.omega[name].addcmul_(gradient, changes[name], value=-1)

    def importance(self, parameters: Mapping[str, Tensor], xi: float) -> Values:
        """ω_i / (Δ_i² + ξ), with Δ_i the way from the start to `parameters` (eq. 5)."""
        return {
            name: omega / ((parameters[name].detach() - self.start[name]).square() + xi)
            for name, omega in self.omega.items()
        }

    def state_dict(self) -> dict[str, Values]:
        """Where it began, and what it summed."""
        return {"start": self.start, "omega": self.omega}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Put a path of the same parameters where `state_dict` found the other."""
        for name in self.start:
            self.start[name].copy_(state["start"][name])
            self.omega[name].copy_(state["omega"][name])
