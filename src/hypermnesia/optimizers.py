"""Optimisers by name and settings, and the descent of a plain network along one task's losses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Annotated, Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

from hypermnesia.errors import ConfigError
from hypermnesia.registry import Registry, unknown_name
from hypermnesia.settings import Fraction, Name, NonNegative, Positive, named_in
from hypermnesia.state_files import State

OPTIMIZERS: Registry[type[Optimizer]] = Registry("optimizer")
"""Every optimiser, by name."""

for _kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop):
    OPTIMIZERS.add(_kind.__name__.lower(), _kind)

_OPTIONS = ("betas", "eps", "momentum", "weight_decay")


@dataclass(frozen=True)
class OptimizerSettings:
    """Which optimiser, and how its step size changes within a task.

    Raises `ConfigError` for an option that the optimiser does not take.

    Attributes:
        name: a name in `OPTIMIZERS`.
        lr: learning rate.
        betas, eps, momentum, weight_decay: as of the torch class; None for its own.
        schedule: share of the task's iterations done -> factor of `lr` from there to the next.
        clip: largest norm of the task's own gradient; None for no bound. What protects earlier
            tasks is added afterwards and is not clipped: a steep task must not buy a step at their
            expense.
    """

    name: Annotated[Name, named_in(OPTIMIZERS)] = "adam"
    lr: Positive = 1e-3
    betas: tuple[Fraction, Fraction] | None = None
    eps: Positive | None = None
    momentum: Fraction | None = None
    weight_decay: NonNegative | None = None
    schedule: Mapping[Fraction, NonNegative] = field(default_factory=dict)
    clip: Positive | None = None

    def __post_init__(self) -> None:
        taken = signature(OPTIMIZERS[self.name]).parameters
        known = [name for name in _OPTIONS if name in taken]
        for option in self._options():
            if option not in known:
                raise unknown_name(f"option of {self.name}", option, known)

    def _options(self) -> dict[str, Any]:
        """What is not left to torch."""
        return {n: value for n in _OPTIONS if (value := getattr(self, n)) is not None}

    def build(self, parameters: Iterable[Tensor]) -> Optimizer:
        """A fresh optimiser over `parameters`; the fused implementation where there is one."""
        kind, arguments = OPTIMIZERS[self.name], self._options() | {"lr": self.lr}
        if "fused" in signature(kind).parameters:
            arguments["fused"] = True
        return kind(parameters, **arguments)

    def schedule_step(self, optimizer: Optimizer, iteration: int, iterations: int) -> None:
        """Set the step size that holds at `iteration` (from 0) of a task of `iterations`."""
        begun = [start for start in self.schedule if iteration >= start * iterations]
        factor = self.schedule[max(begun)] if begun else 1.0
        for group in optimizer.param_groups:
            group["lr"] = self._scaled(group, factor)

    def _scaled(self, group: Mapping[str, Any], factor: float) -> float:  # noqa: ARG002
        return self.lr * factor

    def clipped(self, gradients: list[Tensor]) -> list[Tensor]:
        """`gradients`, together scaled down to a norm of `clip` if theirs is larger.

        A norm that is no finite number makes all of them NaN: clipping hides no such gradient.
        """
        if self.clip is None or not gradients:
            return gradients
        norm = gradient_norm(gradients)
        factor = (self.clip / norm).clamp(max=1.0)
        return [*torch._foreach_mul(gradients, factor.where(norm.isfinite(), torch.nan))]

    def clip_gradients(self, optimizer: Optimizer) -> None:
        """Replace the gradients that the optimiser would step by with `clipped` ones."""
        stepped = [(p, p.grad) for p in parameters_of(optimizer) if p.grad is not None]
        gradients = self.clipped([gradient for _, gradient in stepped])
        for (parameter, _), gradient in zip(stepped, gradients, strict=True):
            parameter.grad = gradient


OptimizerFactory = Callable[[list[Tensor]], Optimizer]
"""Parameters -> an optimiser of them."""

_WITHOUT_LOOKAHEAD = (torch.optim.LBFGS, torch.optim.SparseAdam)  # several looks, sparse gradients


@dataclass(frozen=True)
class OwnOptimizer(OptimizerSettings):
    """An optimiser that the user's `factory` makes; the schedule scales the step sizes it sets."""

    factory: OptimizerFactory = torch.optim.Adam

    def build(self, parameters: Iterable[Tensor]) -> Optimizer:
        """What the factory makes; raises `ConfigError` unless a lookahead can repeat its steps."""
        rule = "optimizer must be a function of parameters that makes an optimiser of torch.optim"
        hint = "give, for example, functools.partial(torch.optim.SGD, lr=0.1)"
        try:
            made: object = self.factory(list(parameters))
        except (TypeError, ValueError) as error:
            raise ConfigError(rule, got=str(error).splitlines()[0], hint=hint) from error
        kind = type(made)
        if not kind.__module__.startswith("torch.optim") or isinstance(made, _WITHOUT_LOOKAHEAD):
            raise ConfigError(rule, got=kind.__name__, hint=hint)
        optimizer = cast(Optimizer, made)
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        return optimizer

    def _scaled(self, group: Mapping[str, Any], factor: float) -> float:
        return float(group["initial_lr"] * factor)


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """The parameters that an optimiser steps, in its order."""
    return [p for group in optimizer.param_groups for p in group["params"]]


Reduce = Callable[[Sequence[Tensor]], list[Tensor]]
"""Gradients, or means, over a part of a batch -> those over the whole batch; see `parallel`."""


def identity(values: Sequence[Tensor]) -> list[Tensor]:
    """Return the values, of any shapes: the `Reduce` of one process, whose part is the batch."""
    return [*values]


def gradient_norm(gradients: Iterable[Tensor | None]) -> Tensor:
    """The Euclidean norm of all `gradients` together, a scalar; does not wait for the device.

    Of float32 it is infinite from 1.8e19 on, where Adam's squares are too.
    """
    norms = torch._foreach_norm([g for g in gradients if g is not None])
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm


class Descent:
    """Steps down the losses of one task after another; the optimiser starts afresh with each."""

    def __init__(self, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.optimizer: Optimizer | None = None
        self.iteration = self.iterations = 0
        self.reduce: Reduce = identity  # of the gradients of a loss

    def begin(self, parameters: Iterable[Tensor], iterations: int) -> None:
        """A fresh optimiser for a task of so many steps."""
        self.iteration, self.iterations = 0, iterations
        self.optimizer = self.settings.build(parameters)

    def backward(self, loss: Tensor) -> None:
        """Give the parameters the gradients of a scalar loss, clipped, for `step` to follow."""
        optimizer = cast(Optimizer, self.optimizer)
        self.settings.schedule_step(optimizer, self.iteration, self.iterations)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.reduce is not identity:
            stepped = [p for p in parameters_of(optimizer) if p.grad is not None]
            gradients = self.reduce([p.grad for p in stepped if p.grad is not None])
            for parameter, gradient in zip(stepped, gradients, strict=True):
                parameter.grad = gradient
        self.settings.clip_gradients(optimizer)

    def step(self) -> Tensor:
        """Step by the gradients that the parameters have by now; returns their norm, a scalar."""
        optimizer = cast(Optimizer, self.optimizer)
        norm = gradient_norm(p.grad for p in parameters_of(optimizer))
        optimizer.step()
        self.iteration += 1
        return norm

    def end(self) -> None:
        """Drop the optimiser and the gradients."""
        if self.optimizer is not None:
            self.optimizer.zero_grad()
        self.optimizer, self.iteration, self.iterations = None, 0, 0

    def state_dict(self) -> State:
        """The optimiser, and how far the task is."""
        state = self.optimizer.state_dict() if self.optimizer else None
        return {"optimizer": state, "iteration": self.iteration, "iterations": self.iterations}

    def load_state_dict(self, parameters: Iterable[Tensor], state: State) -> None:
        """Go on where `state_dict` was taken; further entries of the state are ignored."""
        self.end()
        if state["optimizer"] is not None:
            self.begin(parameters, state["iterations"])
            cast(Optimizer, self.optimizer).load_state_dict(state["optimizer"])
            self.iteration = state["iteration"]
