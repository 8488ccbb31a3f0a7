"""Layers and small networks as people write them, for the table of module kinds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint


def of(forward: Callable[..., Tensor], **parts: Any) -> nn.Module:
    """A module of a class of its own, with these attributes and this method."""
    made: nn.Module = type("Written", (nn.Module,), {"forward": forward})()
    for name, part in parts.items():
        setattr(made, name, part)
    return made


def mlp(*between: nn.Module, first: nn.Module | None = None, width: int = 8) -> nn.Sequential:
    """Six numbers to two, with layers between that keep the width."""
    return nn.Sequential(first or nn.Linear(6, width), *between, nn.ReLU(), nn.Linear(width, 2))


def headed(layer: nn.Module, features: int, inside: nn.Module | None = None) -> nn.Sequential:
    """What a layer makes of its inputs, flattened, to two numbers."""
    return nn.Sequential(layer, inside or nn.Tanh(), nn.Flatten(), nn.Linear(features, 2))


class Last(nn.Module):
    """The last state of a recurrent layer over sequences of six numbers, to two numbers."""

    def __init__(self, layer: nn.RNNBase, features: int) -> None:
        super().__init__()
        self.layer, self.out = layer, nn.Linear(features, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.layer(x)[0][:, -1])


class OverCell(nn.Module):
    """A cell stepped over a sequence of six numbers."""

    def __init__(self, cell: nn.RNNCellBase) -> None:
        super().__init__()
        self.cell, self.out = cell, nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        return self.out(state[0] if isinstance(state, tuple) else state)


class OwnNorm(nn.Module):
    """Layer normalisation, written by hand."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return self.gain * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() + (
            self.shift
        )


class OwnBatchNorm(nn.Module):
    """`F.batch_norm` with statistics of one's own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        own = self.mean, self.var, self.scale, self.bias
        return F.batch_norm(x, *own, training=self.training, momentum=0.3)


class Branch(nn.Module):
    """A residual branch times a parameter: a layer scale, or ReZero's gate."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.branch, self.gate = nn.Linear(8, 8), nn.Parameter(start)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.gate * self.branch(x).relu()


class LowRank(nn.Module):
    """A frozen linear layer and a low-rank update, which starts at 0 (LoRA)."""

    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(6, 8).requires_grad_(False)
        self.down = nn.Parameter(torch.randn(2, 6) / 6**0.5)
        self.up = nn.Parameter(torch.zeros(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + x @ self.down.T @ self.up.T


class Merging(nn.Linear):
    """Adds its low-rank update to its weight in `eval()`, and takes it off in `train()`."""

    def __init__(self) -> None:
        super().__init__(6, 8)
        self.down = nn.Parameter(torch.randn(2, 6))
        self.up = nn.Parameter(torch.randn(8, 2))
        self.merged = False

    def train(self, mode: bool = True) -> Merging:
        super().train(mode)
        if mode == self.merged:
            update = self.up.data @ self.down.data
            self.weight.data += -update if mode else update
            self.merged = not mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        update = 0.0 if self.merged else x @ self.down.T @ self.up.T
        return super().forward(x) + update


class KeepsEval(nn.Module):
    """A backbone whose batch-norm `train()` leaves as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.out = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)
        self.norm.running_mean.fill_(0.5)
        self.norm.eval()

    def train(self, mode: bool = True) -> KeepsEval:
        super().train(mode)
        self.norm.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.norm(self.a(x)).relu())


class Vit(nn.Module):
    """Patches, a class token, positions, one block of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(2, 8, 3, 3)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.position = nn.Parameter(0.02 * torch.randn(1, 5, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 8, dropout=0.1, batch_first=True)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patch(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), patches], 1) + self.position
        return self.out(self.block(tokens)[:, 0])


class EinsumAttention(nn.Module):
    """Attention by hand, in einsums over matrices of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Parameter(torch.randn(3, 2, 6, 4) / 6**0.5)
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = torch.einsum("nli,chio->cnhlo", x, self.qkv)
        share = (torch.einsum("nhlo,nhmo->nhlm", q, k) / 2).softmax(-1)
        return self.out(torch.einsum("nhlm,nhmo->nlho", share, v).flatten(2).mean(1))


class Checkpointed(nn.Module):
    """A block whose activations the backward pass computes again."""

    def __init__(self, *, reentrant: bool) -> None:
        super().__init__()
        self.first, self.reentrant = nn.Linear(6, 8), reentrant
        self.block = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        return self.out(checkpoint(self.block, h, use_reentrant=self.reentrant).relu())


class Lambda(nn.Module):
    """A forward kept as a lambda that closes over the module."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.o = nn.Linear(6, 8), nn.Linear(8, 2)
        self.f = lambda x: self.o(self.a(x).relu())

    def forward(self, x: Tensor) -> Tensor:
        return self.f(x)


class ClosingHook(nn.Module):
    """A hook that closes over the module and uses its parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.beside, self.o = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 2)
        self.a.register_forward_hook(lambda module, given, out: out + self.beside(given[0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.o(self.a(x).relu())


class Listed(nn.Module):
    """Keeps its parameters in a list too, and uses those."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.o = nn.Linear(6, 8), nn.Linear(8, 2)
        self.matrices = [self.a.weight, self.o.weight]

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.matrices[0].T + self.a.bias).relu() @ self.matrices[1].T + self.o.bias


class Unregistered(nn.Module):
    """Keeps some layers where `parameters()` does not find them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.out = [nn.Linear(6, 8), nn.ReLU()], nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.out(x)


class BoundParameter(nn.Module):
    """A partial function that holds a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.o = nn.Parameter(torch.randn(8, 6)), nn.Linear(8, 2)
        self.f = partial(F.linear, weight=self.w)

    def forward(self, x: Tensor) -> Tensor:
        return self.o(self.f(x).relu())


class PartialOfLayer(nn.Module):
    """A partial function of a layer, and a bound method, as attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.o = nn.Linear(6, 8), nn.Linear(8, 2)
        self.f, self.g = partial(self.a), self.act

    def act(self, x: Tensor) -> Tensor:
        return self.o(x.relu())

    def forward(self, x: Tensor) -> Tensor:
        return self.g(self.f(x))


class KeepsActivations(nn.Module):
    """Keeps what its layers gave, for someone to look at."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(6, 8), nn.Linear(8, 2)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.hidden = self.a(x).relu()
        self.seen = [self.hidden, self.hidden.mean()]
        return self.out(self.hidden)


class MovingBuffer(nn.Module):
    """A running mean: set anew, changed in place, or of another shape than at first."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.a, self.out, self.way = nn.Linear(6, 8), nn.Linear(8, 2), way
        self.register_buffer("mean", torch.zeros(1 if way == "grows" else 8))

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        if self.training and self.way == "in place":
            self.mean.mul_(0.9).add_(0.1 * h.detach().mean(0))
        elif self.training:
            self.mean = 0.9 * self.mean + 0.1 * h.mean(0)
        return self.out((h - self.mean.detach()).relu())


class ExpandedBuffer(nn.Module):
    """A buffer that is expanded, without memory of its own, in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(6, 8), nn.Linear(8, 2)
        self.register_buffer("shift", torch.full((1,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.shift = (self.shift[:1] * 1.1).expand(8)
        return self.out((self.a(x) + self.shift).relu())


class MadeBuffer(nn.Module):
    """A buffer that is there from the first forward on."""

    def __init__(self, *, declared: bool) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(6, 8), nn.Linear(8, 2)
        if declared:
            self.register_buffer("mean", None)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        if getattr(self, "mean", None) is None:
            self.register_buffer("mean", h.detach().mean(0))
        return self.out((h - self.mean).relu())


class Counter(nn.Module):
    """Counts its calls: `where` in a buffer or in an attribute, and `used` in its answer or not."""

    def __init__(self, where: str, *, used: bool, only_training: bool) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(6, 8), nn.Linear(8, 2)
        self.used, self.only_training = used, only_training
        if where == "buffer":
            self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        else:
            self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        if self.training or not self.only_training:
            self.calls += 1
        h = self.a(x).relu()
        return self.out(h / (1 + self.calls) if self.used else h)


class HiddenMean(nn.Module):
    """A running mean in an attribute that is no buffer: moved in training, used in eval."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out, self.mean = nn.Linear(6, 8), nn.Linear(8, 2), torch.zeros(8)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        if self.training:
            self.mean = 0.5 * self.mean + 0.5 * h.detach().mean(0)
        return self.out((h - self.mean).relu())


class CachedWeight(nn.Module):
    """Keeps what it once made of a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.w, self.out = nn.Linear(6, 8), nn.Parameter(torch.randn(8)), nn.Linear(8, 2)
        self.cache: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.cache is None:
            self.cache = self.w.detach().exp()
        return self.out((self.a(x) * self.cache + self.w).relu())


class CachedPositions(nn.Module):
    """Keeps a table that depends on the length of sequences alone."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.out = nn.Linear(6, 8), nn.Linear(8, 2)
        self.table: dict[int, Tensor] = {}

    @staticmethod
    @lru_cache
    def angles(length: int) -> Tensor:
        return torch.arange(float(length))[:, None] / torch.arange(1.0, 9.0)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if length not in self.table:
            self.table[length] = self.angles(length).sin()
        return self.out((self.a(x) + self.table[length]).relu().mean(1))


class Delegating(nn.Module):
    """Looks for attributes that it lacks in the network that it wraps."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, x: Tensor) -> Tensor:
        return self[2](self[1](self[0](x)))

    def __getitem__(self, index: int) -> nn.Module:
        return self.inner[index]


class CopiesItself(nn.Module):
    """Is copied in a way of its own."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.width, self.a, self.out = width, nn.Linear(6, width), nn.Linear(width, 2)

    def __deepcopy__(self, memo: dict[int, Any]) -> CopiesItself:
        copied = type(self)(self.width)
        copied.load_state_dict(self.state_dict())
        memo[id(self)] = copied
        return copied.train(self.training)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.a(x).relu())


class NeverCopied(CopiesItself):
    """Gives itself for its copy."""

    def __deepcopy__(self, memo: dict[int, Any]) -> NeverCopied:
        return self


class Noisy(nn.Module):
    """Adds noise in training, drawn by torch, NumPy or Python."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.a, self.out, self.source = nn.Linear(6, 8), nn.Linear(8, 2), source

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x).relu()
        if self.training and self.source == "torch":
            h = h * (1 + 0.5 * torch.randn_like(h))
        elif self.training and self.source == "numpy":
            h = h * float(1 + np.random.rand())  # noqa: NPY002
        elif self.training:
            h = h * (1 + random.random())  # noqa: S311
        return self.out(h)


class StochasticDepth(nn.Module):
    """Leaves whole branches out at random in training."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.branches = nn.Linear(6, 8), nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        for branch in self.branches:
            if not self.training or torch.rand(()) < 0.5:
                h = h + branch(h).tanh()
        return self.out(h)


class Experts(nn.Module):
    """Sends each sample to the expert that a gate likes best, and gathers what they give."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 3)
        self.experts = nn.ModuleList(nn.Linear(6, 8) for _ in range(3))
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        share, chosen = self.gate(x).softmax(1).max(1)
        h = x.new_zeros(len(x), 8)
        for number, expert in enumerate(self.experts):
            rows = (chosen == number).nonzero().squeeze(1)
            h = h.index_copy(0, rows, expert(x[rows]))
        return self.out(h * share[:, None])


class Twice(torch.autograd.Function):
    """x², as functions were written before `setup_context`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * grad


class TwiceSetUp(torch.autograd.Function):
    """x², with `setup_context` and a rule for `vmap`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x * x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 2 * x * grad


class StraightThrough(torch.autograd.Function):
    """Signs, whose gradient is taken for that of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class Positive(nn.Module):
    """A parametrisation of one's own: weights above 0."""

    def forward(self, x: Tensor) -> Tensor:
        return F.softplus(x)

    def right_inverse(self, x: Tensor) -> Tensor:
        return x.abs().clamp(min=1e-3).expm1().log()


class Skew(nn.Module):
    """A parametrisation of one's own that is not one to one: skew-symmetric matrices."""

    def forward(self, x: Tensor) -> Tensor:
        return x.triu(1) - x.triu(1).T


def parametrised(layer: nn.Module, rule: nn.Module) -> nn.Module:
    """The layer, its weight by a rule of one's own."""
    parametrize.register_parametrization(layer, "weight", rule, unsafe=isinstance(rule, Skew))
    return layer


class Clamped(nn.Module):
    """Keeps a weight in bounds by changing it in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.w, self.out = nn.Parameter(torch.randn(8, 6)), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.w.clamp_(-0.2, 0.2)
        return self.out((x @ self.w.T).relu())


class ChangesInput(nn.Module):
    """Changes its input, by a number or by a parameter."""

    def __init__(self, *, learned: bool) -> None:
        super().__init__()
        shift = torch.full((6,), 0.5)
        self.shift = nn.Parameter(shift) if learned else 0.5
        self.out = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.shift, Tensor):
            x.mul_(2)
            return self.out(x + self.shift)
        x += self.shift
        return self.out(x)


class AddsToInput(nn.Module):
    """Adds what it learned to its input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.shift, self.out = nn.Parameter(torch.full((6,), 0.5)), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x += self.shift.detach()
        return self.out(x * self.shift)


class Casts(nn.Module):
    """A network in a format of its own, whose inputs and outputs are float32."""

    def __init__(self, inner: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.inner, self.dtype = inner.to(dtype), dtype

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.to(self.dtype)).float()


class ComplexWeight(nn.Module):
    """Learns complex numbers, of which it gives the size."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(6, 8, dtype=torch.cfloat))
        self.out = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((x.to(torch.cfloat) @ self.w).abs())


class Spatial(nn.Module):
    """Turns images by angles that it learns (`grid_sample`)."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Linear(72, 6)
        self.out = nn.Linear(72, 2)
        with torch.no_grad():
            self.turn.weight.mul_(0.1)
            self.turn.bias.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]))

    def forward(self, x: Tensor) -> Tensor:
        theta = self.turn(x.flatten(1)).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        return self.out(F.grid_sample(x, grid, align_corners=False).flatten(1))


class UNet(nn.Module):
    """Down, up, and a bridge between."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.deep = nn.Conv2d(2, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.up, self.out = nn.ConvTranspose2d(4, 2, 2, 2), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.up(self.deep(self.down(x).relu()).relu())
        return self.out(torch.cat([x, h], 1).mean((2, 3)))


class ByLength(nn.Module):
    """Token ids of which 0 pads: the mean of the others."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(12, 8, **options), nn.Linear(8, 2)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(self.embed(ids).sum(1) / math.sqrt(ids.shape[1]))
