"""Pytrees: a tensor, or dicts, tuples and lists of pytrees, with samples along the first axis.

The inputs of a network are one. Where it is a single tensor, every function here is torch's own.
Other containers take part where they are registered with torch's pytrees (`ModelOutput` is).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

# The public torch.utils.pytree is not in every release from 2.11 on.
from torch.utils import _pytree as pytree

from hypermnesia.errors import DataError, TargetError

Tree: TypeAlias = Any
"""A tensor, or a dict, tuple or list of trees."""


def map(function: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """A tree of what `function` gives for the leaves of one tree, or of several of one structure.

    Example:
        >>> from hypermnesia import tree
        >>> tree.map(lambda a, b: a + b, {"x": 1, "y": (2, 3)}, {"x": 4, "y": (5, 6)})
        {'x': 5, 'y': (7, 9)}
    """
    if isinstance(tree, Tensor):
        return function(tree, *others)
    return pytree.tree_map(function, tree, *others)


def leaves(tree: Tree) -> list[Tensor]:
    """The tensors of a tree, in order.

    Raises:
        DataError: there are none, or something else is among them.
    """
    if isinstance(tree, Tensor):
        return [tree]
    found = pytree.tree_leaves(tree)
    strangers = [type(leaf).__name__ for leaf in found if not isinstance(leaf, Tensor)]
    if strangers or not found:
        raise DataError(
            "inputs must be tensors, or dicts, tuples and lists of tensors",
            got=strangers[0] if strangers else f"an empty {type(tree).__name__}",
            hint="make them tensors, and leave out what is None",
        )
    return found


def batch_size(tree: Tree) -> int:
    """The number of samples, on which all leaves agree.

    Raises:
        DataError: they do not, or a leaf has no first axis.

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
        raise DataError(
            "all tensors of a batch must have its samples along their first axis",
            got=f"shapes {', '.join(str(shape) for shape in shapes)}",
            hint="give every tensor a row for each sample",
        )
    return shapes[0][0]


def index(tree: Tree, rows: Tensor | slice) -> Tree:
    """The samples at `rows`: int64 numbers, a mask or a slice (which copies nothing)."""
    return map(lambda leaf: leaf[rows], tree)


def split(tree: Tree, size: int) -> Sequence[Tree]:
    """All samples in order, `size` at a time; the last are what remains."""
    if isinstance(tree, Tensor):
        return torch.split(tree, size)
    starts = range(0, max(batch_size(tree), 1), size)
    return [index(tree, slice(start, start + size)) for start in starts]


def cat(trees: Sequence[Tree]) -> Tree:
    """The samples of trees of one structure, one tree after another."""
    return map(lambda *each: torch.cat(each), *trees)


def stack(trees: Sequence[Tree]) -> Tree:
    """Trees of one structure with a new first axis, over the trees."""
    return map(lambda *each: torch.stack(each), *trees)


def to(tree: Tree, device: torch.device) -> Tree:
    """The tree with every tensor on `device`."""
    return map(lambda leaf: leaf.to(device), tree)


def one_tensor(tree: Tree, user: str) -> Tensor:
    """The tree, which must be a single (batch, *sample) tensor.

    Args:
        tree: inputs.
        user: what can use nothing else, for the error.

    Raises:
        DataError: it is no tensor.
    """
    if not isinstance(tree, Tensor):
        raise DataError(
            f"{user} needs inputs that are one tensor",
            got=f"a {type(tree).__name__} of {len(leaves(tree))}",
            hint="do without it, or give one tensor",
        )
    return tree


def arguments(x: Tree) -> tuple[tuple[Tree, ...], dict[str, Tree]]:
    """What a module is called with: a dict's entries by name, a tuple's by position, else `x`."""
    if isinstance(x, Tensor):
        return (x,), {}
    if isinstance(x, Mapping):
        return (), dict(x)
    return (x if isinstance(x, tuple) else (x,)), {}


def forward(module: nn.Module, x: Tree) -> Any:
    """The module's output for inputs that are passed as `arguments` says."""
    positions, names = arguments(x)
    return module(*positions, **names)


def output_of(output: Any) -> Any:
    """A module's output, or the logits of an output that carries them beside other things."""
    return output if isinstance(output, Tensor) else getattr(output, "logits", output)


def logits_of(output: Any) -> Tensor:
    """The (batch, ...) logits: a module's output, or its attribute `logits`.

    Raises:
        TargetError: they are no tensor.
    """
    logits = output_of(output)
    if not isinstance(logits, Tensor):
        raise TargetError(
            "a network must give a tensor, or an object with one as its attribute logits",
            got=type(output).__name__,
            hint="wrap it in a module that returns its logits",
        )
    return logits
