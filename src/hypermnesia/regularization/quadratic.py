"""A quadratic penalty on parameters, and how much each of them mattered for a task.

The importance is the diagonal of the Fisher information for elastic weight consolidation
(Kirkpatrick et al. 2017, arXiv 1612.00796), and the path integral for synaptic intelligence
(Zenke, Poole, Ganguli 2017, arXiv 1703.04200).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from hypermnesia import tree
from hypermnesia.errors import ConfigError
from hypermnesia.tree import Tree, logits_of

Values = dict[str, Tensor]
"""Tensors by the names and of the shapes of a network's parameters."""

_GRADIENT_BYTES = 2**28
_POINTWISE = (nn.ReLU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Dropout, nn.Identity)


def drawn_inputs(
    inputs: Iterable[Tree], samples: int | None, generator: torch.Generator
) -> Iterator[Tree]:
    """Draw `samples` of the (batch, *sample) inputs without replacement; all of them for None.

    The batches are read once, and no more than `samples` and one of them are kept.
    """
    if samples is None:
        yield from inputs
        return
    kept, keys = None, torch.empty(0)
    for x in inputs:
        # Every sample has a random key; those with the largest keys are a random subset.
        keys = torch.cat([keys, torch.rand(tree.batch_size(x), generator=generator)])
        kept = x if kept is None else tree.cat([kept, x])
        best = keys.topk(min(samples, len(keys))).indices
        keys, kept = keys[best], tree.index(kept, best.to(tree.leaves(x)[0].device))
    if kept is not None:
        yield kept


def diagonal_fisher(
    network: nn.Module, inputs: Iterable[Tree], columns: slice, *, regression: bool = False
) -> Values:
    """Estimate F_i, the mean over x of E_{y ~ p(y | x)} (∂ log p(y | x) / ∂θ_i)².

    Gradients are squared sample by sample, and the expectation over the answers y is exact: every
    class, weighted by the probability that the network gives it. (Given labels would make it the
    "empirical" Fisher, which vanishes with the training loss.) The network must be in evaluation
    mode, so that samples do not depend on each other. Raises `ConfigError` if there is no sample.

    p is the softmax over the `columns` among which x is answered; in `regression` a Gaussian of
    unit variance around each output, so that the expectation is Σ_k (∂f_k / ∂θ_i)².
    """
    total = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    samples = 0
    for x in inputs:
        samples += tree.batch_size(x)
        if regression or not is_plain(network, x):  # either way the sum is exact
            summed = summed_by_sample(network, x, columns, regression=regression)
        else:
            summed = summed_by_layer(network, x, columns)
        for name, values in summed.items():
            total[name] += values
    if samples == 0:
        raise ConfigError("a Fisher information is estimated on samples", got="none")
    return {name: values.detach() / samples for name, values in total.items()}


def summed_by_sample(
    network: nn.Module, x: Tree, columns: slice, *, regression: bool = False
) -> Values:
    """Sum over samples by definition: every sample's gradient for every output.

    For (batch, *sample) inputs and any module that `torch.func.vmap` can run; slices bound the
    memory of the gradients.
    """
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def log_probabilities(parameters: Values, sample: Tree) -> tuple[Tensor, Tensor]:
        one = tree.arguments(tree.map(lambda leaf: leaf[None], sample))
        logits = logits_of(functional_call(network, (parameters, buffers), *one))[0, columns]
        logs = logits.log_softmax(dim=0)
        return (logits, torch.zeros_like(logits)) if regression else (logs, logs)

    gradients = vmap(jacrev(log_probabilities, has_aux=True), in_dims=(None, 0))
    total = {name: torch.zeros_like(p) for name, p in parameters.items()}
    of_class = sum(p.numel() * p.element_size() for p in parameters.values())
    of_sample = of_class * (columns.stop - columns.start)
    for part in tree.split(x, max(1, _GRADIENT_BYTES // of_sample)):
        per_class, logs = gradients(parameters, part)
        for name, g in per_class.items():
            total[name] += torch.einsum("nc,nc...->...", logs.exp(), g.square())
    return total


def is_plain(network: nn.Module, x: Tree) -> bool:
    """Tell whether a network is just fully connected layers, for (batch, *sample) inputs `x`."""
    if type(network) is not nn.Sequential or not isinstance(x, Tensor):
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
    """Sum over (batch, *sample) inputs of a network that `is_plain`, without sample gradients.

    A layer's weight gradient for sample n is g_n a_nᵀ, with its input a_n and the gradient g_n of
    its output, so the sum over samples of its squares is Σ_n g_n² (a_n²)ᵀ: one product.
    """
    layers, outputs, h = [], [], x
    for name, module in network.named_children():
        before, h = h, module(h)
        if isinstance(module, nn.Linear):
            layers.append((name, module, before.detach()))
            outputs.append(h)
    squares = _expected_squares(h[:, columns].log_softmax(dim=1), outputs)
    total = {}
    for (name, layer, a), g in zip(layers, squares, strict=True):
        total[f"{name}.weight"] = g.T @ a.square()
        if layer.bias is not None:
            total[f"{name}.bias"] = g.sum(dim=0)
    return total


def _expected_squares(logs: Tensor, outputs: list[Tensor]) -> list[Tensor]:
    """Return E_y (∂ log p(y | x_n) / ∂z_n)² for each of the `outputs` z, (batch, width) each."""
    probabilities = logs.detach().exp()
    total = [torch.zeros_like(z) for z in outputs]
    for c in range(logs.shape[1]):
        # A sample's outputs reach only its own row of `logs`: the sum keeps samples apart.
        gradients = torch.autograd.grad(logs[:, c].sum(), outputs, retain_graph=True)
        for squares, g in zip(total, gradients, strict=True):
            squares += probabilities[:, c, None] * g.square()
    return total


class PathIntegral:
    """Sums ω_i = -Σ_steps g_i Δθ_i along a task's training: the share of θ_i in the loss's fall."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.start = {name: p.detach().clone() for name, p in parameters.items()}
        self.omega = {name: torch.zeros_like(p) for name, p in self.start.items()}

    def add(self, gradients: Mapping[str, Tensor], changes: Mapping[str, Tensor]) -> None:
        """Add a step: the gradients of the task's loss, and the change Δθ that the step made."""
        for name, gradient in gradients.items():
            self.omega[name].addcmul_(gradient, changes[name], value=-1)

    def importance(self, parameters: Mapping[str, Tensor], xi: float) -> Values:
        """Return ω_i / (Δ_i² + ξ), with Δ_i the way from the start to `parameters` (eq. 5)."""
        return {
            name: omega / ((parameters[name].detach() - self.start[name]).square() + xi)
            for name, omega in self.omega.items()
        }

    def state_dict(self) -> dict[str, Values]:
        """Return the start and the sums."""
        return {"start": self.start, "omega": self.omega}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Continue the path, of the same parameters, where `state_dict` was taken."""
        for name in self.start:
            self.start[name].copy_(state["start"][name])
            self.omega[name].copy_(state["omega"][name])


def sum_of_terms(
    terms: Sequence[tuple[Values, Values]], parameters: Mapping[str, Tensor]
) -> Tensor:
    """Sum Σ_t Σ_i A_ti (θ_i - θ*_ti)² by definition, over terms (importance, point).

    A term made when a layer had fewer rows is about those rows.
    """
    total = torch.zeros(())
    for importance, point in terms:
        for name, a in importance.items():
            total = total + (a * (_rows(parameters[name], like=a) - point[name]).square()).sum()
    return total


class QuadraticPenalty:
    """Σ_i A_i (θ_i - m_i)² + constant.

    A sum of such penalties is another one, which needs no more memory and time than one term:
    Σ_t A_t (θ - θ*_t)² = A (θ - m)² + constant with the `importance` A = Σ_t A_t and the `mean` m
    of the θ*_t weighted by A_t. `sum_of_terms` is the definition.
    """

    def __init__(self) -> None:
        self.importance: Values = {}
        self.mean: Values = {}
        self.constant = torch.zeros(())

    def __len__(self) -> int:
        """Return the number of stored values."""
        return sum(v.numel() for kept in (self.importance, self.mean) for v in kept.values())

    def add(self, importance: Values, point: Mapping[str, Tensor]) -> None:
        """Add the term `importance` (θ - `point`)²; rows that are new have no earlier terms."""
        for name, a in importance.items():
            earlier, mean = self.padded(name, a)
            share = a / (earlier + a).clamp(min=torch.finfo(a.dtype).tiny)
            change = point[name].detach() - mean
            self.constant = self.constant.to(a) + (earlier * share * change.square()).sum()
            self.importance[name] = earlier + a
            self.mean[name] = mean + share * change

    def replace(self, importance: Values, point: Mapping[str, Tensor]) -> None:
        """Put the single term `importance` (θ - `point`)² in place of what there is."""
        self.importance = dict(importance)
        self.mean = {name: p.detach().clone() for name, p in point.items()}
        self.constant = torch.zeros(())

    def padded(self, name: str, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return A and m of a parameter of the shape of `like`, zero in rows that are new."""
        importance, mean = torch.zeros_like(like), torch.zeros_like(like)
        if name in self.importance:
            _rows(importance, like=self.importance[name]).copy_(self.importance[name])
            _rows(mean, like=self.mean[name]).copy_(self.mean[name])
        return importance, mean

    @torch.no_grad()
    def pull(self, network: nn.Module, weight: float) -> Tensor:
        """Add the gradient of `weight` times the penalty to the network's; return that scalar."""
        total = self.constant
        for name, parameter in network.named_parameters():
            if name not in self.importance or parameter.grad is None:
                continue
            a = self.importance[name]
            change = _rows(parameter, like=a) - self.mean[name]
            force = a * change
            _rows(parameter.grad, like=a).add_(force, alpha=2 * weight)
            total = total + (force * change).sum()
        return weight * total

    def state_dict(self) -> dict[str, Any]:
        """Return importance, mean and constant."""
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Take over the penalty of `state`."""
        vars(self).update(tree.to(dict(state), device))


def _rows(tensor: Tensor, like: Tensor) -> Tensor:
    """Return the rows that `like` has too, as a view."""
    return tensor[: len(like)] if tensor.dim() else tensor
