"""Pytrees: a tensor, or dicts, tuples and lists of pytrees, with samples along the first axis.

The inputs of a network are one. Other containers take part where they are registered with torch's
pytrees (`ModelOutput` is).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree  # torch.utils.pytree is not in every release yet

from hypermnesia.errors import DataError, TargetError

Tree: TypeAlias = Any
"""A tensor, or a dict, tuple or list of trees."""


def map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Apply `function` to the leaves of one tree, or of several of one structure.

    Example:
        >>> from hypermnesia import tree
        >>> tree.map(lambda a, b: a + b, {"x": 1, "y": (2, 3)}, {"x": 4, "y": (5, 6)})
        {'x': 5, 'y': (7, 9)}
    """
    single = isinstance(tree, Tensor)
    return function(tree, *others) if single else pytree.tree_map(function, tree, *others)


def leaves(tree: Tree) -> list[Tensor]:
    """List the tensors of a tree; raises `DataError` for anything else in it, and for no tensor."""
    if isinstance(tree, Tensor):
        return [tree]
    found = pytree.tree_leaves(tree)
    strangers = [type(leaf).__name__ for leaf in found if not isinstance(leaf, Tensor)]
    if strangers or not found:
        rule = "inputs must be tensors, or dicts, tuples and lists of tensors"
        got = strangers[0] if strangers else f"an empty {type(tree).__name__}"
        raise DataError(rule, got=got, hint="make them tensors, and leave out what is None")
    return found


def batch_size(tree: Tree) -> int:
    """Count the samples; raises `DataError` unless all leaves have as many rows.

    Example:
        >>> import torch
        >>> from hypermnesia import tree
        >>> tree.batch_size({"ids": torch.zeros(3, 8), "mask": torch.ones(3, 8)})
        3
    """
    if isinstance(tree, Tensor) and tree.ndim:
        return len(tree)
    shapes = [tuple(leaf.shape) for leaf in leaves(tree)]
    sizes = {shape[:1] for shape in shapes}
    if len(sizes) > 1 or () in sizes:
        rule = "all tensors of a batch must have its samples along their first axis"
        got = f"shapes {', '.join(str(shape) for shape in shapes)}"
        raise DataError(rule, got=got, hint="give every tensor a row for each sample")
    return shapes[0][0]


def index(tree: Tree, rows: Tensor | slice) -> Tree:
    """Take the samples at `rows`: int64 numbers, a mask or a slice (which copies nothing)."""
    return map(lambda leaf: leaf[rows], tree)


def split(tree: Tree, size: int) -> Sequence[Tree]:
    """Cut the samples in order, `size` at a time; the last are what remains."""
    if isinstance(tree, Tensor):
        return torch.split(tree, size)
    starts = range(0, max(batch_size(tree), 1), size)
    return [index(tree, slice(start, start + size)) for start in starts]


def cat(trees: Sequence[Tree]) -> Tree:
    """Join the samples of trees of one structure, one tree after another."""
    return map(lambda *each: torch.cat(each), *trees)


def stack(trees: Sequence[Tree]) -> Tree:
    """Stack trees of one structure along a new first axis."""
    return map(lambda *each: torch.stack(each), *trees)


def to(tree: Tree, device: torch.device) -> Tree:
    """Put every tensor on `device`."""
    return map(lambda leaf: leaf.to(device), tree)


def one_tensor(tree: Tree, user: str) -> Tensor:
    """Return the tree, a (batch, *sample) tensor; else raise `DataError` that names the `user`."""
    if not isinstance(tree, Tensor):
        got = f"a {type(tree).__name__} of {len(leaves(tree))}"
        hint = "do without it, or give one tensor"
        raise DataError(f"{user} needs inputs that are one tensor", got=got, hint=hint)
    return tree


def arguments(x: Tree) -> tuple[tuple[Tree, ...], dict[str, Tree]]:
    """Pass a dict's entries by name, a tuple's by position, anything else as the one argument."""
    if isinstance(x, Tensor):
        return (x,), {}
    if isinstance(x, Mapping):
        return (), dict(x)
    return (x if isinstance(x, tuple) else (x,)), {}


def forward(module: nn.Module, x: Tree) -> Any:
    """Call the module on inputs that are passed as `arguments` says."""
    positions, names = arguments(x)
    return module(*positions, **names)


def output_of(output: Any) -> Any:
    """Return a module's output, or its logits where it carries them beside other things."""
    return output if isinstance(output, Tensor) else getattr(output, "logits", output)


def logits_of(output: Any) -> Tensor:
    """Return (batch, ...) logits, the output or its `logits`; raises `TargetError` for others."""
    logits = output_of(output)
    if not isinstance(logits, Tensor):
        rule = "a network must give a tensor, or an object with one as its attribute logits"
        hint = "wrap it in a module that returns its logits"
        raise TargetError(rule, got=type(output).__name__, hint=hint)
    return logits
