"""Any `nn.Module` as a target network, run with weights from outside."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from hypermnesia import tree
from hypermnesia.errors import TargetError
from hypermnesia.nets import find_head, with_outputs
from hypermnesia.tree import Tree

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


Buffers = dict[str, Tensor]
"""Buffers of a target network, by name."""


class Target:
    """A module whose parameters, or some of them, come from outside.

    The module is copied, never changed, and called through `torch.func.functional_call`; tied
    parameters stay tied.

    Args:
        module: any `nn.Module`; what it takes and returns is the caller's.
        generated: patterns (as of shells) of the names of the parameters to generate.
        head: name of the output layer, whose width follows each task; the last `nn.Linear` by
            default.
        compile: train through `torch.compile`.

    Raises:
        TargetError: no parameter matches, or the module has none.
    """

    def __init__(
        self,
        module: nn.Module,
        generated: Sequence[str] = ("*",),
        head: str | None = None,
        *,
        compile: bool = False,
    ) -> None:
        self.module = copy.deepcopy(module)
        self.head = head
        self._train = torch.compile(self._run) if compile else self._run
        self._batched = True
        names = [name for name, _ in self.module.named_parameters()]
        self.generated = [n for n in names if any(fnmatch(n, pattern) for pattern in generated)]
        if not self.generated:
            raise TargetError(
                "at least one parameter of the target network must be generated",
                got=f"patterns {list(generated)} that match none of {names[:8]}",
                hint="name parameters as module.named_parameters() does",
            )
        self.shared = nn.ParameterDict(
            {
                name.replace(".", "/"): parameter
                for name, parameter in self.module.named_parameters()
                if name not in self.generated
            }
        )

    def layout(self, outputs: int) -> Layout:
        """Which weights a task with `outputs` outputs needs; those of the head come last.

        Raises:
            TargetError: the head would have to be resized but cannot be.
        """
        shapes = {n: p.shape for n, p in self.module.named_parameters() if n in self.generated}
        head = find_head(self.module, self.head)
        if head is not None and head.layer.out_features != outputs:
            self._check_resizable(head.names)
            shapes |= {name: torch.Size((outputs, *shapes[name][1:])) for name in head.names}
        if head is not None:
            last = {name: shapes.pop(name) for name in head.names if name in shapes}
            shapes |= last
        return layout_of(self.module, shapes, outputs)

    def _check_resizable(self, names: Sequence[str]) -> None:
        missing = [name for name in names if name not in self.generated]
        if missing:
            raise TargetError(
                "tasks with different numbers of outputs need an output layer that is generated "
                "and not tied to another",
                got=f"'{missing[0]}', which is shared",
                hint="add it to the generated patterns, untie it, or name the output layer",
            )

    def new_buffers(self) -> Buffers:
        """A task's own copy of the module's buffers (batch-norm statistics), as at the start."""
        return {name: buffer.clone() for name, buffer in self.module.named_buffers()}

    def _parameters(self, layout: Layout, weights: Tensor) -> dict[str, Tensor]:
        shared = {name.replace("/", "."): parameter for name, parameter in self.shared.items()}
        return shared | layout.split(weights)

    def __call__(
        self,
        weights: Float[Tensor, " N"],
        x: Tree,
        *,
        layout: Layout,
        buffers: Buffers,
        training: bool,
    ) -> Any:
        """The module's output on `x`, passed as `tree.arguments` says, with the given weights.

        It is whatever the module gives; of an object with the attribute `logits`, these.
        In training, `buffers` (batch-norm statistics) are brought to what the module leaves.
        """
        self.module.train(training)
        everything = self._parameters(layout, weights) | buffers
        if not training:
            return self._run(everything, x)
        output = self._train(everything, x)
        buffers.update({name: everything[name].detach() for name in buffers})
        return output

    def _run(self, everything: dict[str, Tensor], x: Tree) -> Any:
        return tree.output_of(functional_call(self.module, everything, *tree.arguments(x)))

    def each(
        self,
        weights: Float[Tensor, "tasks N"],
        x: Tree,
        *,
        layout: Layout,
        buffers: Sequence[Buffers],
    ) -> Any:
        """Every task's network on the same inputs, in one batched call.

        A module that torch cannot run so (LSTM, GRU, a transformer's layers) goes task by task.

        Args:
            weights: a row for each task.
            x: what every network sees.
            layout: shared by these tasks (equal numbers of outputs).
            buffers: of each of the tasks.

        Returns:
            The module's output, each tensor in it with the tasks in front.
        """
        self.module.train(False)

        def one(w: Tensor, b: Buffers) -> Any:
            return self._run(self._parameters(layout, w) | b, x)

        if self._batched:
            stacked = {name: torch.stack([b[name] for b in buffers]) for name in buffers[0]}
            with warnings.catch_warnings():
                warnings.filterwarnings("error", message="There is a performance drop")
                try:
                    return vmap(one)(weights, stacked)
                except (RuntimeError, UserWarning):
                    pass  # either a rule of torch's is missing, or the loop says what is wrong
        outputs = [one(w, b) for w, b in zip(weights, buffers, strict=True)]
        self._batched = False
        return tree.stack(outputs)

    @torch.no_grad()
    def plain(self, weights: Float[Tensor, " N"], *, layout: Layout, buffers: Buffers) -> nn.Module:
        """A module of its own with the given weights, which it no longer depends on; to evaluate.

        Raises:
            TargetError: the head would have to be resized but cannot be.
        """
        if find_head(self.module, self.head) is None:
            module = copy.deepcopy(self.module)
        else:
            module = with_outputs(self.module, layout.outputs, torch.Generator(), self.head)
        values = self._parameters(layout, weights) | buffers
        for name, own in (*module.named_parameters(), *module.named_buffers()):
            own.copy_(values[name])
        return module.eval()
