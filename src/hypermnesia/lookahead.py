"""The point that an optimiser's next step would reach, without taking it.

The regulariser is evaluated at θ + Δθ, where Δθ is the step that the task's loss alone would
make (von Oswald et al. 2020, section 2, "candidate change Δθ"). Δθ is a constant: no gradient
flows through it, so the gradient at the point is the gradient with respect to θ.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.optim import Optimizer

from hypermnesia.registry import Registry

Lookahead = Callable[[Sequence[Tensor]], list[Tensor]]
"""Gradients of the optimiser's parameters, in order -> the parameters after the step.

The result may be overwritten by the next call.
"""

LOOKAHEADS: Registry[Callable[[Optimizer], Lookahead]] = Registry("lookahead")


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """The optimiser's parameters, in the order of its groups."""
    return [p for group in optimizer.param_groups for p in group["params"]]


class OptimizerLookahead:
    """Where `optimizer.step()` would lead, bit for bit, for any `torch.optim` optimiser.

    A shadow of the optimiser is brought to the same state and takes the step with torch's own
    code, so nothing can drift from the library. Its memory is allocated once.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self._originals = parameters_of(optimizer)
        self._shadows = [p.detach().clone() for p in self._originals]
        memo = {id(p): s for p, s in zip(self._originals, self._shadows, strict=True)}
        self._copy = copy.deepcopy(optimizer, memo)

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The stepped parameters; those of the optimiser and its state stay untouched."""
        torch._foreach_copy_(self._shadows, [p.detach() for p in self._originals])
        self._copy_state()
        for shadow, gradient in zip(self._shadows, gradients, strict=True):
            shadow.grad = gradient
        self._copy.step()
        return self._shadows

    def _copy_state(self) -> None:
        groups = zip(self._copy.param_groups, self.optimizer.param_groups, strict=True)
        for ours, theirs in groups:
            ours.update({key: value for key, value in theirs.items() if key != "params"})
        for shadow, original in zip(self._shadows, self._originals, strict=True):
            theirs = self.optimizer.state.get(original, {})
            if theirs.keys() != self._copy.state[shadow].keys():
                self._copy.state[shadow] = copy.deepcopy(theirs)
                continue
            for key, value in theirs.items():
                if isinstance(value, Tensor):
                    self._copy.state[shadow][key].copy_(value)
                else:
                    self._copy.state[shadow][key] = copy.deepcopy(value)


class SgdLookahead:
    """θ - lr · g: the change that plain gradient descent would make."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    @torch.no_grad()
    def __call__(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """The parameters after a step of gradient descent at the optimiser's learning rate."""
        remaining = iter(gradients)
        return [
            p.detach() - group["lr"] * next(remaining)
            for group in self.optimizer.param_groups
            for p in group["params"]
        ]


class NoLookahead:
    """θ itself: the regulariser acts only after the step has gone astray."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._parameters = parameters_of(optimizer)

    def __call__(self, gradients: Sequence[Tensor]) -> list[Tensor]:  # noqa: ARG002
        """The parameters as they are."""
        return [p.detach() for p in self._parameters]


LOOKAHEADS.add("optimizer", OptimizerLookahead)
LOOKAHEADS.add("sgd", SgdLookahead)
LOOKAHEADS.add("none", NoLookahead)
