"""What each generated parameter means: its shape, where it starts, how far it moves from there.

A weight is W = W₀ + s · h(e). As a rule W₀ is 0 and s is 1: the spread of a matrix comes from the
hypernetwork h. What a network starts at a constant (a norm's scale at 1, a layer scale at 1e-5, the
second factor of a low-rank update at 0) means that constant, so W₀ is the module's own value.

From a pretrained module every W₀ is its value and h starts at 0, with one s for all parameters: so
that a step of Adam moves a weight about as far as it would in plain fine-tuning.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_SMALL = 1 / 32  # an Adam step on the head moves a weight by its step size x the features' width
_SPEED = 4.0  # tried on scikit-learn's digits: benchmarks/pretrained.py
_ONE = torch.tensor(1.0)
_NEAR_ZERO = 1e-4  # variance of biases, and of what a norm's scales differ by from 1


@dataclass(frozen=True)
class Start:
    """Where a parameter starts, and how far the hypernetwork moves it from there.

    Attributes:
        value: W₀, of the parameter's shape or a single number.
        scale: s, as `value`; None for 1.
        variance: wanted of h.
    """

    value: Tensor
    scale: Tensor | None = None
    variance: float = _NEAR_ZERO

    @property
    def of_a_norm(self) -> bool:
        """Whether it is that of a norm's scale, which every copy of the module shares."""
        return self.scale is None and self.value.ndim == 0 and self.value.item() == 1

    def of(self, made: Tensor) -> Tensor:
        """Return the parameter that the hypernetwork's values `made` stand for."""
        scaled = made if self.scale is None else made * self.scale.to(made.dtype)
        return scaled + self.value.to(made.dtype)

    def undone(self, parameter: Tensor) -> Tensor:
        """Return the values that `of` makes a parameter from; 0 where s is 0."""
        moved = parameter - self.value
        return moved if self.scale is None else (moved / self.scale).where(self.scale != 0, 0.0)

    def resized(self, shape: torch.Size) -> Start:
        """Fit it to another number of rows, those of a head, in turn."""
        if self.value.ndim == 0 or len(self.value) == shape[0]:
            return self
        rows = torch.arange(shape[0], device=self.value.device) % len(self.value)
        scale = self.scale if self.scale is None or self.scale.ndim == 0 else self.scale[rows]
        return replace(self, value=self.value[rows], scale=scale)

    def to(self, device: torch.device) -> Start:
        """Put it on a device."""
        scale = None if self.scale is None else self.scale.to(device)
        return replace(self, value=self.value.to(device), scale=scale)


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the generated parameters, in the order of the flat vector.

    Attributes:
        outputs: width of the task's head.
        shapes: shape of each generated parameter by name.
        layers: number of generated weights of each layer (module), in the same order.
        starts: where parameters start that are not drawn around 0, by name.
        grown: outputs that the head gained later, each time; their rows are behind all that was
            there before, whose places in the flat vector stay.
    """

    outputs: int
    shapes: Mapping[str, torch.Size]
    layers: tuple[int, ...]
    starts: Mapping[str, Start]
    grown: tuple[int, ...] = ()

    @property
    def total(self) -> int:
        """The number of generated weights, N."""
        return sum(self.layers)

    @cached_property
    def pieces(self) -> tuple[tuple[str, torch.Size], ...]:
        """The parameters, or rows of them, in the order of the flat vector."""
        head = _of_head(self.shapes) if self.grown else ()
        later = [(name, _rows(self.shapes[name], rows)) for rows in self.grown for name in head]
        first = self.outputs - sum(self.grown)
        each = self.shapes.items()
        return (*((n, _rows(s, first) if n in head else s) for n, s in each), *later)

    def variances(self) -> Float[Tensor, " N"]:
        """Return the variance of each weight that keeps a signal's size through its layer.

        He et al. 2015 (arXiv 1502.01852) for matrices and filters; biases start near 0, and others
        as their `Start` says.
        """
        each = [self._variance(name, shape) for name, shape in self.pieces]
        counts = [shape.numel() for _, shape in self.pieces]
        return torch.tensor(each).repeat_interleave(torch.tensor(counts))

    def _variance(self, name: str, shape: torch.Size) -> float:
        if name in self.starts:
            return self.starts[name].variance
        return variance_of(shape)

    def split(self, flat: Float[Tensor, " N"]) -> dict[str, Tensor]:
        """Cut a flat weight vector into named parameters.

        Of a vector in bf16, biases and scales are made float32: normalisation wants them so.
        """
        return self.named(torch.split(flat, self.sizes))

    @property
    def sizes(self) -> list[int]:
        """The number of weights of each of the `pieces`."""
        return [shape.numel() for _, shape in self.pieces]

    def named(self, parts: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the parameters, by name, that flat parts of these `sizes` stand for."""
        own: dict[str, Tensor] = {}
        for (name, _), part in zip(self.pieces, parts, strict=True):
            own[name] = torch.cat([own[name], part]) if name in own else part
        named = {}
        for name, shape in self.shapes.items():
            part = own[name]
            wide = torch.promote_types(part.dtype, torch.float32)
            value = part.view(shape) if len(shape) > 1 else part.to(wide).view(shape)
            named[name] = self.starts[name].of(value) if name in self.starts else value
        return named

    def join(self, named: Mapping[str, Tensor]) -> Float[Tensor, " N"]:
        """Return the flat vector that `split` cuts into these parameters."""
        values = {name: named[name] for name in self.shapes}
        values |= {name: start.undone(named[name]) for name, start in self.starts.items()}
        parts, taken = [], dict.fromkeys(values, 0)
        for name, shape in self.pieces:
            first = taken[name]
            taken[name] += shape.numel()
            parts.append(values[name].flatten()[first : taken[name]])
        return torch.cat(parts)


def layout_of(
    shapes: Mapping[str, torch.Size],
    outputs: int,
    starts: Mapping[str, Start],
    grown: tuple[int, ...] = (),
) -> Layout:
    """Make the layout of parameters that have these shapes, in this order; the head's are last.

    What the head has `grown` by counts as layers of their own.
    """
    own = {name: starts[name].resized(shape) for name, shape in shapes.items() if name in starts}
    layout, layers = Layout(outputs, shapes, (), own, grown), dict[str, int]()
    for name, shape in layout.pieces[: len(shapes)]:
        owner = name.rpartition(".")[0]
        layers[owner] = layers.get(owner, 0) + shape.numel()
    of_output = sum(shapes[name][1:].numel() for name in _of_head(shapes))
    return replace(layout, layers=(*layers.values(), *(rows * of_output for rows in grown)))


def _of_head(shapes: Mapping[str, torch.Size]) -> list[str]:
    """The names of the last layer's parameters."""
    owner = [*shapes][-1].rpartition(".")[0]
    return [name for name in shapes if name.rpartition(".")[0] == owner]


def _rows(shape: torch.Size, rows: int) -> torch.Size:
    return torch.Size((rows, *shape[1:]))


@torch.no_grad()
def starts_of(module: nn.Module) -> dict[str, Start]:
    """Find the parameters of a module that do not start around 0, as its own layers say."""
    owners, starts = dict(module.named_modules()), {}
    for name, parameter in module.named_parameters():
        owner, _, own = name.rpartition(".")
        if not parameter.is_floating_point() or not parameter.numel():
            continue
        if (start := _start_of(owners[owner], own, parameter.detach())) is not None:
            starts[name] = start
    return starts | _parametrised(module)


def own_values(module: nn.Module, names: Iterable[str], scale: float) -> dict[str, Start]:
    """Start these parameters of a module at its values, and move them by `scale` times h."""
    values = {name: module.get_parameter(name).detach() for name in names}
    of_reals = {name: value for name, value in values.items() if value.is_floating_point()}
    return {name: Start(value.clone(), value.new_tensor(scale)) for name, value in of_reals.items()}


def drawn_head(shape: torch.Size, inputs: int, start: Start, grown: Sequence[int] = ()) -> Start:
    """Start a head of another width as torch starts a linear layer, by draws that never change.

    What it has `grown` by is drawn apart: its first rows are those of the head before, which are
    the module's own if that had as many.
    """
    parts, first = [], shape[0] - sum(grown)
    for number, rows in enumerate((first, *grown)):
        generator = torch.Generator().manual_seed(number)
        values = torch.rand(_rows(shape, rows), generator=generator) * 2 - 1
        parts.append(values.to(start.value) / math.sqrt(inputs))
    if grown and first == len(start.value):
        parts[0] = start.value
    return replace(start, value=torch.cat(parts))


def speed_of(features: int, chunks: int) -> float:
    """Return the s that gives h about the speed of plain fine-tuning.

    A step of Adam moves a weight by its size times the features of its row, half of it lost to
    tanh; rows that serve C chunks are pulled C ways, so that a chunk gets 1/sqrt(C) of it.
    """
    return _SPEED * math.sqrt(chunks) / features


def starts_of_norms(module: nn.Module) -> dict[str, Start]:
    """Return the usual starts of the scales of norms: 1."""
    norms = {name: part for name, part in module.named_modules() if isinstance(part, _NORMS)}
    return {
        f"{n}.weight".lstrip("."): Start(_ONE) for n, p in norms.items() if p.weight is not None
    }


def _start_of(owner: nn.Module, name: str, value: Tensor) -> Start | None:
    """Return the start of a parameter `name` of a layer; None if it is drawn around 0."""
    first = value.flatten()[0].item()
    constant = value.numel() > 1 and bool((value == first).all())
    if isinstance(owner, _NORMS) and name == "weight" and (first == 1 or not constant):
        return Start(_ONE)
    if isinstance(owner, nn.Embedding | nn.EmbeddingBag) and owner.padding_idx is not None:
        return _padded(owner.padding_idx, value)
    if not _of_torch(owner):
        return _at(value) if constant or _is_vector(value) else _drawn_like(value)
    means = constant and (value.ndim > 1 or first != 0 or name == "weight")
    return _at(value) if means or _set_by_hand(owner, name, value) else None


def _set_by_hand(owner: nn.Module, name: str, value: Tensor) -> bool:
    """Whether a parameter of torch's layer is no matrix, and not as torch draws it: a bias of 3."""
    if isinstance(owner, nn.PReLU):
        return True
    if value.ndim != 1 or "bias" not in name:
        return False
    weight = getattr(owner, "weight", None)
    inputs = getattr(owner, "hidden_size", 1 if weight is None else math.prod(weight.shape[1:]))
    return value.abs().max().item() > 1.001 / math.sqrt(max(1, inputs))


def _of_torch(owner: nn.Module) -> bool:
    """Whether torch has made the layer, with values that are drawn around 0 unless constant."""
    computed = hasattr(owner, "weight_g") or hasattr(owner, "weight_orig")  # hooks of nn.utils
    return type(owner).__module__.startswith("torch.nn.") and not computed


def _is_vector(value: Tensor) -> bool:
    """Whether the shape is that of a bias or scale, whatever axes it is spread along."""
    return value.numel() == max(value.shape, default=1)


def _at(value: Tensor) -> Start:
    """Start at the module's own values, and move as far as their size allows."""
    size = min(1.0, value.square().mean().sqrt().item())
    first = value.flatten()[0]
    kept = first.cpu() if bool((value == first).all()) else value
    return Start(kept.clone(), torch.tensor(max(_SMALL, size)), variance_of(value.shape))


def variance_of(shape: torch.Size) -> float:
    """Return the variance that keeps a signal's size through a layer with weights of a shape."""
    return 2.0 / max(1, math.prod(shape[1:])) if len(shape) > 1 else _NEAR_ZERO


def _padded(row: int, value: Tensor) -> Start:
    """An embedding's padding row stays as it is; the others are drawn."""
    start, scale = torch.zeros_like(value), torch.ones_like(value[:, :1])
    start[row], scale[row] = value[row], 0.0
    return Start(start, scale, variance_of(value.shape))


def _drawn_like(value: Tensor) -> Start:
    """Draw a layer's own matrix with its own deviation, around its mean if that stands out."""
    mean, deviation = value.mean().item(), value.std(correction=0).item()
    usual = variance_of(value.shape)
    # In s, as entries of a chunk share rows of the head, and with them the deviation of h.
    scale = torch.tensor(min(1.0, deviation / math.sqrt(usual)))
    return Start(torch.tensor(mean if abs(mean) > deviation else 0.0), scale, usual)


def _parametrised(module: nn.Module) -> dict[str, Start]:
    """Start at their own values the parameters from which torch computes a layer's weight.

    An entry on which the weight does not depend (the signs that `orthogonal` keeps on a diagonal)
    never moves in torch, and stays as it is.
    """
    starts = {}
    for owner, layer in module.named_modules():
        for weight in getattr(layer, "parametrizations", {}):
            prefix = f"{owner}." if owner else ""
            for name, start in _originals(layer, weight).items():
                starts[f"{prefix}parametrizations.{weight}.{name}"] = start
    return starts


def _originals(layer: nn.Module, weight: str) -> dict[str, Start]:
    """Return the starts of what one weight of a layer is computed from."""
    originals = dict(layer.parametrizations[weight].named_parameters())  # type: ignore[index,union-attr]
    with torch.enable_grad():
        made = getattr(layer, weight)
        pull = torch.linspace(0.5, 1.5, made.numel()).view_as(made).to(made)
        found = torch.autograd.grad(made, [*originals.values()], pull, materialize_grads=True)
    return {
        name: Start(
            value.detach().clone(), _scale(value) * (gradient != 0), variance_of(value.shape)
        )
        for (name, value), gradient in zip(originals.items(), found, strict=True)
    }


def _scale(value: Tensor) -> float:
    return _SMALL if _is_vector(value) else 1.0
