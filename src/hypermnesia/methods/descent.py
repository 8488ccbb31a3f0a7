"""Plain steps of one optimiser: everything that learns without a hypernetwork takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from torch import Tensor
from torch.optim import Optimizer

from hypermnesia.lookahead import parameters_of
from hypermnesia.methods.base import State
from hypermnesia.optimizers import OptimizerSettings, gradient_norm


class Descent:
    """Down the losses of one task after another; the optimiser starts afresh with each.

    Args:
        settings: the optimiser, and how its step size changes within a task.
    """

    def __init__(self, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.optimizer: Optimizer | None = None
        self.iteration = self.iterations = 0

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
        self.optimizer = None
        self.iteration = self.iterations = 0

    def state_dict(self) -> State:
        """The optimiser, and how far the task is."""
        return {
            "optimizer": self.optimizer.state_dict() if self.optimizer else None,
            "iteration": self.iteration,
            "iterations": self.iterations,
        }

    def load_state_dict(self, parameters: Iterable[Tensor], state: State) -> None:
        """Go on where `state_dict` was taken, of whatever else its state holds."""
        self.end()
        if state["optimizer"] is not None:
            self.begin(parameters, state["iterations"])
            cast(Optimizer, self.optimizer).load_state_dict(state["optimizer"])
            self.iteration = state["iteration"]
