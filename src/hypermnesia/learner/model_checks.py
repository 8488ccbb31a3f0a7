"""What a model must be like to be taught: tried on two samples before anything is learned."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hypermnesia.errors import HypermnesiaError, TargetError
from hypermnesia.learner.sources import Source
from hypermnesia.learner.targets import Problem

_REFUSALS = (RuntimeError, ValueError, TypeError, IndexError)  # torch's, of inputs that do not fit


def check_module(model: object) -> None:
    """Raise `TargetError` unless it is a module."""
    if not isinstance(model, nn.Module):
        got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise TargetError(
            "the model must be a torch.nn.Module", got=got, cure="make one, or wrap it in one"
        )


@contextmanager
def taking(x: Tensor) -> Iterator[None]:
    """Tells of a model that refuses (batch, *sample) inputs which rule they break.

    Raises:
        TargetError: it does.
    """
    try:
        yield
    except (HypermnesiaError, torch.OutOfMemoryError):
        raise
    except _REFUSALS as error:
        raise refused(x, _said(error)) from error


def refused(x: Tensor, got: str) -> TargetError:
    """The error of (batch, *sample) inputs for which a model gives no scores."""
    return TargetError(
        f"the model must take inputs of shape {tuple(x.shape)} and type {x.dtype}",
        got=got,
        cure="reshape the inputs, or convert them to floats if they are no ids",
    )


@torch.no_grad()
def check_model(model: nn.Module, source: Source) -> None:
    """Raise `TargetError` unless the model takes such inputs and gives scores for each of them."""
    x, probe = _first(source), copy.deepcopy(model).cpu().eval()
    with taking(x):
        scores = probe(x)
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(x):
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise TargetError(
            "the model must give (batch, outputs) scores", got=got, cure="wrap it so that it does"
        )


@torch.no_grad()
def check_network(network: nn.Module, source: Source, outputs: int, problem: Problem) -> None:
    """Raise `TargetError` unless a new task's network gives its number of plain scores.

    Args:
        network: the model, whose output layer was given as many outputs as the task needs.
        source: inputs of the task.
        outputs: the number that it needs.
        problem: what they stand for.
    """
    cure = "name the output layer (head=...), a linear one"
    rule = f"the network must give (batch, {outputs}) for a task with {outputs} outputs"
    x = _first(source)
    try:
        scores = network(x)
    except _REFUSALS as error:
        raise TargetError(rule, got=_said(error), cure=cure) from error
    if scores.shape[1:] != (outputs,):
        raise TargetError(rule, got=tuple(scores.shape), cure=cure)
    if problem == "classification" and outputs > 1 and _is_softmax(scores):
        raise TargetError(
            "the model must give scores from which a softmax makes probabilities",
            got="probabilities",
            cure="leave the softmax at its end out",
        )


def _is_softmax(scores: Tensor) -> bool:
    sums = scores.sum(dim=1)
    return bool((scores >= 0).all() and torch.allclose(sums, torch.ones_like(sums)))


def _said(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _first(source: Source) -> Tensor:
    return source.read(torch.arange(min(2, len(source))))
