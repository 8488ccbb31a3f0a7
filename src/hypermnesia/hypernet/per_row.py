"""One forward pass in which each row of a batch has the weights of a task of its own.

What all tasks share, a frozen base, is run once for all rows; only the layers that a task has for
itself, adapters and heads, are products of each row with its own matrix. Definition: every row
through its own task's network. A module is run so if linear layers and 2D convolutions are all that
its generated parameters enter, which a trial on a few rows makes sure of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from hypermnesia import tree
from hypermnesia.hypernet import trial
from hypermnesia.hypernet.ensemble import BUDGET
from hypermnesia.hypernet.layout import Layout
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.target import Buffers, Target
from hypermnesia.tree import Tree, logits_of

_ASKED: list[Any] = [Tensor.dtype, Tensor.device, Tensor.shape, Tensor.ndim, Tensor.requires_grad]


class _Stranger(RuntimeError):
    """A parameter enters something that has no version for rows."""


class PerRow(TorchFunctionMode):
    """Within it `linear` and `conv2d` take, for some parameters, another value for each row.

    Args:
        values: (rows, *shape) values of a parameter, by its `id`.

    Raises `RuntimeError` where such a parameter enters anything else, or another number of rows.
    """

    def __init__(self, values: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.values = values
        self.rows = len(next(iter(values.values())))

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        own = any(id(leaf) in self.values for leaf in pytree.tree_leaves((args, kwargs)))
        if not own or getattr(func, "__self__", None) in _ASKED:
            return func(*args, **kwargs)
        if func is F.linear:
            return self._linear(*args, **kwargs)
        if func is F.conv2d:
            return self._conv2d(*args, **kwargs)
        raise _Stranger(f"{func} of a task's own parameter")

    def _own(self, x: Tensor, parameter: Tensor | None) -> Tensor | None:
        if len(x) != self.rows:
            raise _Stranger(f"{len(x)} rows for {self.rows}")
        return self.values.get(id(parameter))

    def _with_bias(self, found: Tensor, bias: Tensor | None, channels: int) -> Tensor:
        """Add a bias along the axis of channels."""
        if bias is None:
            return found
        own = self.values.get(id(bias))
        shape = [1] * found.ndim
        shape[channels] = -1
        if own is not None:
            shape[0] = self.rows
        return found + (bias if own is None else own).view(shape)

    def _linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        own = self._own(x, weight)
        if own is None:
            return self._with_bias(F.linear(x, weight), bias, -1)
        found = x.reshape(self.rows, -1, x.shape[-1]) @ own.mT
        return self._with_bias(found.view(*x.shape[:-1], own.shape[1]), bias, -1)

    def _conv2d(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        own = self._own(input, weight)
        if own is None:
            found = F.conv2d(input, weight, None, stride, padding, dilation, groups)
            return self._with_bias(found, bias, 1)
        joined, kernels = input.flatten(0, 1)[None], own.flatten(0, 1)
        found = F.conv2d(joined, kernels, None, stride, padding, dilation, groups * self.rows)
        return self._with_bias(found.view(self.rows, -1, *found.shape[2:]), bias, 1)


def _run(
    target: Target, weights: Tensor, which: Tensor, x: Tree, layout: Layout, buffers: Buffers
) -> Tensor:
    """(batch, outputs) logits of rows by the networks of the (tasks, N) weights that they name."""
    each = [layout.split(own) for own in weights]
    parameters = dict(target.evaluated.named_parameters())
    values = {
        id(parameters[name]): torch.stack([own[name] for own in each])[which] for name in each[0]
    }
    own = {name: buffer.clone() for name, buffer in buffers.items()}
    with target.holding(own), PerRow(values):
        return logits_of(tree.output_of(tree.forward(target.evaluated, target.given(x))))


def _fits(target: Target, weights: Tensor, x: Tree, layout: Layout, buffers: Buffers) -> bool:
    """Whether rows are answered as by their own networks: two rows, and three.

    A module that has its rows along another axis cannot have both numbers of them there.
    """
    weights = torch.stack([weights[0], 0.5 * weights[0]])

    def alike(rows: int) -> bool:
        which = torch.arange(rows, device=weights.device) % 2
        some = tree.index(x, torch.arange(rows) % tree.batch_size(x))
        run: Callable[..., Any] = target.swapped
        alone = [
            logits_of(run(weights[int(k)], tree.index(some, slice(i, i + 1)), layout, buffers))
            for i, k in enumerate(which)
        ]
        found = _run(target, weights, which, some, layout, buffers)
        return trial.alike([found], [torch.cat(alone)])

    return trial.holds(lambda: alike(2) and alike(3))


@torch.no_grad()
def together(memory: WeightMemory, x: Tree, tasks: Tensor) -> Tensor | None:
    """Answer each row of (batch, *sample) inputs by the network of its own task, in one pass.

    Rows of tasks whose heads have other widths are passes of their own.

    Args:
        memory: the weights of all tasks.
        x: inputs, on its device.
        tasks: (batch,) int64.

    Returns:
        (batch, widest head) logits, -inf where a task has no output; None where what tasks share is
        not the larger part of the networks, or where they cannot be run so.
    """
    target, found = memory.target, None
    shared = sum(p.numel() for p in target.shared.values())
    for outputs, rows in _by_layout(memory, tasks):
        of_tasks, which = torch.unique(tasks[rows], return_inverse=True)
        first, *others = of_tasks.tolist()
        layout, buffers = memory.layouts[first], memory.buffers[first]
        if layout.total > shared or not all(_same(buffers, memory.buffers[t]) for t in others):
            return None
        weights, own = memory.networks([first, *others]), tree.index(x, rows)
        if target.in_rows is None:
            target.in_rows = _fits(target, weights, own, layout, buffers)
        if not target.in_rows:
            return None
        size = max(1, BUDGET // (layout.total * weights.element_size()))
        parts = zip(torch.split(which, size), tree.split(own, size), strict=True)
        logits = torch.cat([_run(target, weights, w, some, layout, buffers) for w, some in parts])
        if found is None:
            widest = max(memory.layouts[task].outputs for task in tasks.tolist())
            found = logits.new_full((len(tasks), widest), -torch.inf)
        found[rows, :outputs] = logits
    return found


def _by_layout(memory: WeightMemory, tasks: Tensor) -> list[tuple[int, Tensor]]:
    """Outputs and rows of the tasks of each shape."""
    found: dict[tuple[int, ...], list[int]] = {}
    for row, task in enumerate(tasks.tolist()):
        layout = memory.layouts[task]
        found.setdefault((layout.outputs, *layout.grown), []).append(row)
    return [(k[0], torch.tensor(rows, device=tasks.device)) for k, rows in found.items()]


def _same(one: Buffers, other: Buffers) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())
