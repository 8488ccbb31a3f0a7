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

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
Buffers = dict[str, Tensor]  #: of a target network, by name


@dataclass(frozen=True)
class Layout:
    """Names and shapes of the generated parameters, in the order of the flat vector.

    Attributes:
        outputs: width of the task's head.
        shapes: shape of each generated parameter by name.
        layers: number of generated weights of each layer (module), in the same order.
        scales: names of the parameters that scale a normalised activation, generated as
            deviations from 1, since a scale near 0 would silence its layer.
    """

    outputs: int
    shapes: Mapping[str, torch.Size]
    layers: tuple[int, ...]
    scales: frozenset[str]

    @property
    def total(self) -> int:
        """The number of generated weights, N."""
        return sum(self.layers)

    def variances(self) -> Float[Tensor, " N"]:
        """Return the variance of each weight that keeps a signal's size through its layer.

        He et al. 2015 (arXiv 1502.01852) for matrices and filters; biases and deviations of
        scales start near 0.
        """
        shapes = self.shapes.values()
        each = [2.0 / math.prod(s[1:]) if len(s) > 1 else 1e-4 for s in shapes]
        return torch.tensor(each).repeat_interleave(torch.tensor([s.numel() for s in shapes]))

    def split(self, flat: Float[Tensor, " N"]) -> dict[str, Tensor]:
        """Cut a flat weight vector into named parameters.

        Of a vector in bf16, biases and scales are made float32: normalisation wants them so.
        """
        parts = torch.split(flat, [shape.numel() for shape in self.shapes.values()])
        named = {}
        for (name, shape), part in zip(self.shapes.items(), parts, strict=True):
            wide = torch.promote_types(part.dtype, torch.float32)
            value = part.view(shape) if len(shape) > 1 else part.to(wide).view(shape)
            named[name] = value + 1.0 if name in self.scales else value
        return named


def layout_of(module: nn.Module, shapes: Mapping[str, torch.Size], outputs: int) -> Layout:
    """Make the layout of parameters of `module` that have these shapes, in this order."""
    modules = dict(module.named_modules())
    owners = {name: name.rpartition(".")[0] for name in shapes}
    layers: dict[str, int] = {}
    for name, shape in shapes.items():
        layers[owners[name]] = layers.get(owners[name], 0) + shape.numel()
    norms = [name for name in shapes if isinstance(modules[owners[name]], _NORMS)]
    scales = frozenset(name for name in norms if name.endswith("weight"))
    return Layout(outputs, shapes, tuple(layers.values()), scales)


class Target:
    """A module whose parameters, or some of them, come from outside.

    The module is copied, never changed, and called through `torch.func.functional_call`; tied
    parameters stay tied.

    Args:
        module: any `nn.Module`; what it takes and returns is the caller's.
        generated: patterns (as of shells) of the names of the parameters to generate.
        head: name of the output layer, whose width follows each task; None: the last `nn.Linear`.
        compile: train through `torch.compile`.

    Raises `TargetError`: no parameter matches, or the head has to be resized but cannot be.
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
        every = dict(self.module.named_parameters())
        self.generated = [n for n in every if any(fnmatch(n, pattern) for pattern in generated)]
        if not self.generated:
            rule = "at least one parameter of the target network must be generated"
            got = f"patterns {list(generated)} that match none of {[*every][:8]}"
            hint = "name parameters as module.named_parameters() does"
            raise TargetError(rule, got=got, hint=hint)
        shared = {n.replace(".", "/"): p for n, p in every.items() if n not in self.generated}
        self.shared = nn.ParameterDict(shared)

    def layout(self, outputs: int) -> Layout:
        """List the weights that a task with `outputs` outputs needs, those of the head last."""
        shapes = {n: p.shape for n, p in self.module.named_parameters() if n in self.generated}
        head = find_head(self.module, self.head)
        if head is not None and head.layer.out_features != outputs:
            if missing := [name for name in head.names if name not in self.generated]:
                rule = "tasks of different widths need an output layer that is generated, not tied"
                got = f"'{missing[0]}', which is shared"
                hint = "add it to the generated patterns, untie it, or name the output layer"
                raise TargetError(rule, got=got, hint=hint)
            shapes |= {name: torch.Size((outputs, *shapes[name][1:])) for name in head.names}
        if head is not None:
            shapes |= {name: shapes.pop(name) for name in head.names if name in shapes}
        return layout_of(self.module, shapes, outputs)

    def new_buffers(self) -> Buffers:
        """Copy the module's buffers (batch-norm statistics), as at the start, for a task."""
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
        """Run the module on `x`, passed as `tree.arguments` says, with the given weights.

        Of an output with the attribute `logits`, these are returned. In training, `buffers`
        (batch-norm statistics) are brought to what the module leaves.
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
        self, weights: Float[Tensor, "tasks N"], x: Tree, layout: Layout, buffers: Sequence[Buffers]
    ) -> Any:
        """Run every task's network on the same inputs, in one batched call.

        A module that torch cannot run so (LSTM, GRU, a transformer's layers) goes task by task.
        The tasks share `layout`; each tensor in the output has the tasks in front.
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
        """Make an independent module with the given weights, to evaluate."""
        if find_head(self.module, self.head) is None:
            module = copy.deepcopy(self.module)
        else:
            module = with_outputs(self.module, layout.outputs, torch.Generator(), self.head)
        values = self._parameters(layout, weights) | buffers
        for name, own in (*module.named_parameters(), *module.named_buffers()):
            own.copy_(values[name])
        return module.eval()
