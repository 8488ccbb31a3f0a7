"""What is checked before a fit begins: the task's name, the model, and its answers."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hypermnesia.errors import ConfigError, HypermnesiaError, TargetError
from hypermnesia.learner.inputs import Source
from hypermnesia.learner.targets import Problem

_REFUSALS = (RuntimeError, ValueError, TypeError, IndexError)  # torch's, of inputs that do not fit


def check_task_name(name: object, known: Sequence[str | int]) -> None:
    """Raise `ConfigError` unless a task can be called so beside the known ones."""
    kinds = {type(each) for each in known} or {str, int}
    if type(name) not in kinds:
        raise ConfigError(
            "tasks are named by strings, or all of them by integers",
            got=f"{name!r:.40}",
            hint="name it as the others, or the first one by a string",
        )


def check_module(model: object) -> None:
    """Raise `TargetError` unless it is a module."""
    if not isinstance(model, nn.Module):
        got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise TargetError(
            "the model must be a torch.nn.Module", got=got, hint="make one, or wrap it in one"
        )


@contextmanager
def inputs_accepted(x: Tensor) -> Iterator[None]:
    """Explain a model's refusal of (batch, *sample) inputs.

    Raises:
        TargetError: it does.
    """
    try:
        yield
    except (HypermnesiaError, torch.OutOfMemoryError):
        raise
    except _REFUSALS as error:
        raise rejected(x, _first_line(error)) from error


def rejected(x: Tensor, got: str) -> TargetError:
    """The error of (batch, *sample) inputs for which a model gives no logits."""
    return TargetError(
        f"the model must take inputs of shape {tuple(x.shape)} and type {x.dtype}",
        got=got,
        hint="reshape the inputs, or convert them to floats if they are no ids",
    )


@torch.no_grad()
def check_model(model: nn.Module, source: Source) -> None:
    """Raise `TargetError` unless the model takes such inputs and gives logits for each of them."""
    x, probe = _first(source), copy.deepcopy(model).cpu().eval()
    with inputs_accepted(x):
        logits = probe(x)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(x):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise TargetError(
            "the model must give (batch, outputs) logits", got=got, hint="wrap it so that it does"
        )


@torch.no_grad()
def check_network(network: nn.Module, source: Source, outputs: int, problem: Problem) -> None:
    """Raise `TargetError` unless a new task's network gives its number of plain logits.

    Args:
        network: the model, whose output layer was given as many outputs as the task needs.
        source: inputs of the task.
        outputs: the number that it needs.
        problem: what they stand for.
    """
    hint = "name the output layer (head=...), a linear one"
    rule = f"the network must give (batch, {outputs}) for a task with {outputs} outputs"
    x = _first(source)
    try:
        logits = network(x)
    except _REFUSALS as error:
        raise TargetError(rule, got=_first_line(error), hint=hint) from error
    if logits.shape[1:] != (outputs,):
        raise TargetError(rule, got=tuple(logits.shape), hint=hint)
    if problem == "classification" and outputs > 1 and _is_softmax(logits):
        raise TargetError(
            "the model must give logits from which a softmax makes probabilities",
            got="probabilities",
            hint="leave the softmax at its end out",
        )


def _is_softmax(logits: Tensor) -> bool:
    sums = logits.sum(dim=1)
    return bool((logits >= 0).all() and torch.allclose(sums, torch.ones_like(sums)))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _first(source: Source) -> Tensor:
    return source.read(torch.arange(min(2, len(source))))
