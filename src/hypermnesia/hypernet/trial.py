"""A trial of a module, before it is trained: does it do what plain PyTorch does with it?

The reference is a copy of the module with the generated values written into its own parameters.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from hypermnesia import tree
from hypermnesia.errors import HypermnesiaError, TargetError
from hypermnesia.hypernet.layout import Layout
from hypermnesia.modules import Slots
from hypermnesia.seeding import one_at_a_time
from hypermnesia.tree import Tree

Way = Literal["batched", "swapped", "copied"]
"""All tasks under `vmap`; weights put in task by task; a copy of the module for each task."""

_Named = Mapping[str, Tensor]
Buffers = dict[str, Tensor]  #: of a target network, by name
_ROWS = 8  # of a batch, which a trial is made on
_EXACT, _IN_BF16 = 1e-3, 5e-2  # largest norm of a difference, as a share
_FAULTS = (RuntimeError, TypeError, ValueError, AttributeError, LookupError)


class Tried(Protocol):
    """What is tried: a target network, in each way in which it is run."""

    changes_input: bool

    def parameters(self, layout: Layout, weights: Tensor) -> dict[str, Tensor]:
        """Return every parameter by name, of (N,) weights."""

    def trained(self, parameters: _Named, x: Tree, buffers: Buffers) -> Any:
        """Run in training on (batch, *sample) inputs."""

    def swapped(self, weights: Tensor, x: Tree, layout: Layout, buffers: Buffers) -> Any:
        """Run to evaluate, with (N,) weights put in."""

    def batched(self, weights: Tensor, x: Tree, layout: Layout, buffers: Sequence[Buffers]) -> Any:
        """Run to evaluate, for all rows of (tasks, N) weights at once."""

    def plain(
        self, weights: Tensor, *, layout: Layout, buffers: Buffers, training: bool = False
    ) -> nn.Module:
        """Make an independent module of (N,) weights."""


class _Outcome(NamedTuple):
    """What one forward and backward pass gave."""

    outputs: list[Tensor]
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]


def check(target: Tried, weights: Tensor, x: Tree, layout: Layout, buffers: Buffers) -> None:
    """Raise `TargetError` unless a module trains as plain PyTorch trains it.

    With (N,) `weights`, on some samples of `x`: the same outputs, gradients and buffers. Changes
    nothing, neither `buffers` nor random numbers.
    """
    parameters = target.parameters(layout, weights)

    def reference() -> _Outcome:
        network = target.plain(weights, layout=layout, buffers=buffers, training=True)
        return _of_copy(target, network, x)

    with _apart(), torch.enable_grad():
        try:
            expected = reference()
        except HypermnesiaError:
            raise
        except _FAULTS:
            return  # PyTorch cannot run it either: the call itself says why
        if not all(leaf.isfinite().all() for leaf in expected.outputs):
            return
        other = target.parameters(layout, 0.5 * weights)
        _of_target(target, other, x, buffers)  # of which nothing may be left in the next call
        found = _of_target(target, parameters, x, buffers)
        fault = _difference(found, expected)
        if fault and not _difference(reference(), expected):  # else it draws numbers of its own
            rule = "a model must give the outputs and gradients that its own weights give"
            hint = "let forward use parameters, buffers and inputs of the model alone"
            raise TargetError(rule, got=fault, hint=hint)


def _of_copy(target: Tried, network: nn.Module, x: Tree) -> _Outcome:
    """Run the reference; refuse what no weights from outside can stand."""
    parameters, given = dict(network.named_parameters()), tree.map(torch.clone, x)
    versions = {name: p._version for name, p in parameters.items()}
    outputs = _run(lambda: tree.output_of(tree.forward(network, given)))
    target.changes_input |= _changed(given, x)
    for name, parameter in parameters.items():
        if parameter._version != versions[name]:
            rule = "a model's forward must leave its weights as they are"
            hint = "compute from a changed copy (weight.clamp(...), an embedding without max_norm)"
            raise TargetError(rule, got=f"'{name}', changed in place", hint=hint)
    learned = {name: p for name, p in parameters.items() if p.requires_grad}
    return _Outcome(outputs, _gradients(outputs, learned), dict(network.named_buffers()))


def _of_target(target: Tried, parameters: _Named, x: Tree, buffers: Buffers) -> _Outcome:
    leaves = {
        name: p.detach().clone().requires_grad_(p.is_floating_point())
        for name, p in parameters.items()
    }
    own = {name: buffer.clone() for name, buffer in buffers.items()}
    given = tree.map(torch.clone, x)
    try:
        outputs = _run(lambda: target.trained(leaves, given, own))
    except _FAULTS as error:
        rule, hint = "a model must run with weights from outside", "make it a plain nn.Module"
        raise TargetError(rule, got=_first_line(error), hint=hint) from error
    _check_own(outputs, list(leaves.values()))
    learned = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    return _Outcome(outputs, _gradients(outputs, learned), own)


def _run(forward: Callable[[], Any]) -> list[Tensor]:
    """Return the real tensors of an output, made with the same draws each time."""
    torch.default_generator.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    if _uses_gpu():
        torch.cuda.manual_seed(0)
    leaves = [leaf for leaf in pytree.tree_leaves(forward()) if isinstance(leaf, Tensor)]
    return [leaf for leaf in leaves if leaf.is_floating_point()]


def _gradients(outputs: list[Tensor], parameters: _Named) -> dict[str, Tensor]:
    """Return the gradient of a fixed sum of the outputs; raises `TargetError` without any."""
    roots = [leaf for leaf in outputs if leaf.requires_grad]
    if not roots:
        rule, hint = "a model's outputs must depend on its weights", "leave out no_grad and detach"
        raise TargetError(rule, got="outputs without a gradient", hint=hint)
    pull = [torch.linspace(0.5, 1.5, r.numel()).view_as(r).to(r) for r in roots]
    try:
        found = torch.autograd.grad(roots, [*parameters.values()], pull, materialize_grads=True)
    except RuntimeError as error:
        rule, hint = "a model must have a gradient (torch.autograd.grad)", ""
        if "checkpoint" in (got := _first_line(error)).lower():
            hint = "call torch.utils.checkpoint.checkpoint with use_reentrant=False"
        raise TargetError(rule, got=got, hint=hint or "differentiate it alone first") from error
    return {n: g.to_dense() for n, g in zip(parameters, found, strict=True)}


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _check_own(outputs: list[Tensor], own: list[Tensor]) -> None:
    """Raise `TargetError` where outputs depend on parameters that are not the network's own."""
    known, seen = {id(tensor) for tensor in own}, set()
    nodes = [leaf.grad_fn for leaf in outputs]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, nn.Parameter) and id(leaf) not in known:
            rule = "a model's forward must use its own parameters"
            got = f"one of shape {tuple(leaf.shape)} that is not (a lambda or hook of another copy)"
            raise TargetError(rule, got=got, hint="write it as a method, or use the hook's module")
        nodes += [parent for parent, _ in node.next_functions]


def way_to_evaluate(
    target: Tried, weights: Tensor, x: Tree, layout: Layout, buffers: Sequence[Buffers]
) -> Way:
    """Choose the fastest way whose answers are those of plain copies, for (tasks, N) weights.

    Raises `TargetError` for a module whose answers depend on those that it gave before.
    """
    weights = torch.stack([weights[0], weights[1] if len(weights) > 1 else 0.5 * weights[0]])
    kept = [*buffers, *buffers][:2]

    def copy(task: int) -> nn.Module:
        return target.plain(weights[task], layout=layout, buffers=kept[task])

    with _apart(), torch.no_grad():
        first, second = copy(0), copy(1)
        expected = [_answer(target, first, x), _answer(target, second, x)]
        Slots(first).put({name: buffer.clone() for name, buffer in kept[0].items()})
        again = _answer(target, first, x)
        if not alike(again, expected[0]) and alike(_answer(target, copy(0), x), expected[0]):
            rule = "a model must answer the same inputs alike each time"
            hint = "keep what changes in forward in buffers (register_buffer)"
            raise TargetError(rule, got="another answer the second time", hint=hint)

        def together() -> bool:
            found = _run(lambda: target.batched(weights, x, layout, kept))
            return all(alike([leaf[task] for leaf in found], expected[task]) for task in (0, 1))

        def apart(task: int) -> bool:
            found = _run(lambda: target.swapped(weights[task], x, layout, kept[task]))
            return alike(found, expected[task])

        if holds(together):
            return "batched"
        # Again, as a module may keep what it has computed from the weights of another call.
        return "swapped" if holds(lambda: all(map(apart, (0, 1, 0)))) else "copied"


def _answer(target: Tried, network: nn.Module, x: Tree) -> list[Tensor]:
    given = tree.map(torch.clone, x)
    found = _run(lambda: tree.output_of(tree.forward(network, given)))
    target.changes_input |= _changed(given, x)
    return [leaf.clone() for leaf in found]


def holds(claim: Callable[[], bool]) -> bool:
    """Return whether a claim holds, and can be checked without a fault of torch's."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="There is a performance drop")
            return claim()
    except (*_FAULTS, UserWarning):
        return False


def _difference(found: _Outcome, expected: _Outcome) -> str:
    """Say where two outcomes differ; empty if they do not."""
    if not alike(found.outputs, expected.outputs):
        return "other outputs"
    for kind, ours, theirs in (
        ("gradient", found.gradients, expected.gradients),
        ("buffer", found.buffers, expected.buffers),
    ):
        for name in theirs:
            if name not in ours or not alike([ours[name]], [theirs[name]]):
                return f"another {kind} of '{name}'"
    return ""


def alike(found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
    """Whether tensors are the same, but for rounding."""
    share = _IN_BF16 if torch.is_autocast_enabled(expected[0].device.type) else _EXACT
    for ours, theirs in zip(found, expected, strict=True):
        if ours.shape != theirs.shape:
            return False
        if not torch.equal(ours, theirs):
            a, b = (torch.nan_to_num(each.detach().double()) for each in (ours, theirs))
            if (a - b).norm() > share * b.norm() + 1e-6:
                return False
    return True


def _changed(given: Tree, before: Tree) -> bool:
    pairs = zip(tree.leaves(given), tree.leaves(before), strict=True)
    return any(not torch.equal(a, b) for a, b in pairs)


def some(x: Tree) -> Tree:
    """Take the first samples, where all of an input's tensors have as many rows."""
    leaves = tree.leaves(x)
    rows = {leaf.shape[:1] for leaf in leaves}
    return tree.index(x, slice(_ROWS)) if len(rows) == 1 and () not in rows else x


def _uses_gpu() -> bool:
    """Whether this process computes on a GPU, whose draws a trial must not disturb either."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


@contextmanager
def _apart() -> Iterator[None]:
    """Leave random numbers as they are, a GPU's too; one thread at a time."""
    cuda = [torch.cuda.current_device()] if _uses_gpu() else []
    with one_at_a_time:
        others = random.getstate(), np.random.get_state()  # noqa: NPY002
        try:
            with torch.random.fork_rng(devices=cuda):
                yield
        finally:
            random.setstate(others[0])
            np.random.set_state(others[1])  # noqa: NPY002
