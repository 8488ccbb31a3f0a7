"""Whether a model can be learned, and takes the inputs that it is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.errors import ConfigError, HypermnesiaError, TargetError
from hypermnesia.learner.arrays import parts_of
from hypermnesia.learner.inputs import InputSource
from hypermnesia.learner.targets import Problem
from hypermnesia.modules import check_supported, copied
from hypermnesia.nets import find_head
from hypermnesia.tree import Tree

_REFUSALS = (RuntimeError, ValueError, TypeError, IndexError)  # torch's, of inputs that do not fit


def check_module(model: object) -> None:
    """Raise `TargetError` unless it is a module, of a kind that can be learned."""
    if not isinstance(model, nn.Module):
        got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        rule, hint = "the model must be a torch.nn.Module", "make one, or wrap it in one"
        raise TargetError(rule, got=got, hint=hint)
    if (usual := torch.get_default_dtype()) not in (torch.float32, torch.float64):
        rule, hint = "torch's default type must be float32 or float64", "and the model of it"
        raise ConfigError(rule, got=usual, hint=f"set it so (torch.set_default_dtype), {hint}")
    check_supported(model)


@contextmanager
def inputs_accepted(x: Tree) -> Iterator[None]:
    """Raise a model's refusal of (batch, *sample) inputs as a `TargetError` that explains it."""
    try:
        yield
    except (HypermnesiaError, torch.OutOfMemoryError):
        raise
    except _REFUSALS as error:
        raise rejected(x, _first_line(error)) from error


def rejected(x: Tree, got: str) -> TargetError:
    """The error of (batch, *sample) inputs for which a model gives no logits."""
    if isinstance(x, Tensor):
        told = f"inputs of shape {tuple(x.shape)} and type {x.dtype}"
    else:
        told = f"inputs {', '.join(parts_of(x))} of {tree.batch_size(x)} samples"
    rule = f"the model must take {told}"
    hint = "reshape the inputs, or convert them to floats if they are no ids"
    return TargetError(rule, got=got, hint=hint)


@torch.no_grad()
def check_model(model: nn.Module, source: InputSource, *, positions: bool = False) -> int:
    """Return the number of outputs; raises `TargetError` unless it gives logits for such inputs.

    Of `positions` they may have classes along the last axis, or the second.
    """
    x, probe = _first(source), copied(model).cpu().eval()
    with inputs_accepted(x):
        logits = tree.output_of(tree.forward(probe, x))
    if positions and isinstance(logits, Tensor) and logits.ndim > 2:
        head = find_head(model)
        along_last = head is not None and head.layer.out_features == logits.shape[-1]
        return logits.shape[-1 if along_last else 1]
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != tree.batch_size(x):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        rule, hint = "the model must give (batch, outputs) logits", "wrap it so that it does"
        if isinstance(logits, Tensor) and logits.ndim > 2:
            hint += ", or say problem='positions'"
        raise TargetError(rule, got=got, hint=hint)
    return logits.shape[1]


@torch.no_grad()
def check_network(network: nn.Module, source: InputSource, outputs: int, problem: Problem) -> None:
    """Raise `TargetError` unless a new task's network gives `outputs` plain logits."""
    hint = "name the output layer (head=...), a linear one"
    rule = f"the network must give (batch, {outputs}) for a task with {outputs} outputs"
    x = _first(source)
    try:
        logits = tree.logits_of(tree.forward(network, x))
    except _REFUSALS as error:
        raise TargetError(rule, got=_first_line(error), hint=hint) from error
    dense = problem == "positions" and outputs in (logits.shape[1], logits.shape[-1])
    if logits.shape[1:] != (outputs,) and not dense:
        raise TargetError(rule, got=tuple(logits.shape), hint=hint)
    sums = logits.sum(dim=1)
    softmax = bool((logits >= 0).all() and torch.allclose(sums, torch.ones_like(sums)))
    if problem == "classification" and outputs > 1 and softmax:
        rule = "the model must give logits from which a softmax makes probabilities"
        raise TargetError(rule, got="probabilities", hint="leave the softmax at its end out")


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _first(source: InputSource) -> Tree:
    return source.read(torch.arange(min(2, len(source))))
