"""The point that an optimiser's next step would reach, without taking it.

The regulariser is evaluated at θ + Δθ, where Δθ is the step that the task's loss alone would
make (von Oswald et al. 2020, section 2, "candidate change Δθ"). Δθ is a constant: no gradient
flows through it, so the gradient at the point is the gradient with respect to θ.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.adam import adam

from hypermnesia.optimizers import parameters_of
from hypermnesia.registry import Registry


class Rows(Protocol):
    """A stepped parameter, all of it (`[:]`) or some rows; the next ones may overwrite these."""

    def __getitem__(self, rows: slice, /) -> Tensor: ...


Lookahead = Callable[[Sequence[Any]], Sequence[Rows]]
"""Gradients in the optimiser's order -> its parameters after the step, read before they change."""

LOOKAHEADS: Registry[Callable[[Optimizer], Lookahead]] = Registry("lookahead")
"""By name: (optimiser of θ) -> lookahead."""


def _with_gradients(
    optimizer: Optimizer, gradients: Sequence[Any]
) -> list[tuple[Tensor, Any, dict[str, Any]]]:
    """Pair each parameter with its gradient and the options of its group."""
    groups = [group for group in optimizer.param_groups for _ in group["params"]]
    return list(zip(parameters_of(optimizer), gradients, groups, strict=True))


class OptimizerLookahead:
    """Finds where `optimizer.step()` would lead, bit for bit, for any `torch.optim` optimiser.

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
        """Return the stepped parameters; those of the optimiser and its state stay untouched."""
        torch._foreach_copy_(self._shadows, [p.detach() for p in self._originals])
        self._copy_state()
        for shadow, gradient in zip(self._shadows, gradients, strict=True):
            shadow.grad = gradient
        self._copy.step()
        return self._shadows

    def _copy_state(self) -> None:
        for ours, theirs in zip(self._copy.param_groups, self.optimizer.param_groups, strict=True):
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


class AdamLookahead:
    """`OptimizerLookahead` for Adam and AdamW, made as its rows are asked for.

    A caller that walks a large parameter a few rows at a time finds each of them in the cache,
    and nothing of the parameter's size is written. The step is torch's own, on copies of rows.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self._scratch: list[list[Tensor]] = [[] for _ in parameters_of(optimizer)]

    def __call__(self, gradients: Sequence[Rows]) -> list[Rows]:
        """Return the stepped parameters, not made yet."""
        states, each = self.optimizer.state, _with_gradients(self.optimizer, gradients)
        return [
            _AdamRows(p.detach(), g, group, states.get(p, {}), scratch)
            for (p, g, group), scratch in zip(each, self._scratch, strict=True)
        ]


class _AdamRows:
    """Rows of one parameter after Adam's step, in a scratch that the next ones overwrite."""

    def __init__(
        self,
        parameter: Tensor,
        gradient: Rows,
        group: dict[str, Any],
        state: dict[str, Any],
        scratch: list[Tensor] | None = None,
    ) -> None:
        self._parameter, self._gradient = parameter, gradient
        self._scratch = [] if scratch is None else scratch
        self._group, self._state = group, state
        # Where torch's Adam would make it: the fused kernels want it beside the parameter.
        beside = group["fused"] or group["capturable"]
        device = parameter.device if beside else torch.device("cpu")
        self._step = state.get("step", torch.zeros((), dtype=torch.float32, device=device))

    @torch.no_grad()
    def __getitem__(self, rows: slice, /) -> Tensor:
        names = ("exp_avg", "exp_avg_sq", *["max_exp_avg_sq"] * self._group["amsgrad"])
        saved, now = [self._state.get(name) for name in names], self._parameter[rows]
        if not self._scratch or len(self._scratch[0]) < len(now):
            self._scratch[:] = [torch.empty_like(now) for _ in (now, *names)]
        stepped, *moments = (each[: len(now)] for each in self._scratch)
        stepped.copy_(now)
        for moment, source in zip(moments, saved, strict=True):
            moment.zero_() if source is None else moment.copy_(source[rows])
        adam_step(self._group, stepped, self._gradient[rows], moments, self._step.clone())
        return stepped


_ADAM_OPTIONS = (
    *("lr", "weight_decay", "eps", "amsgrad", "maximize", "decoupled_weight_decay"),
    *("foreach", "fused", "capturable", "differentiable"),
)


def adam_step(
    group: Mapping[str, Any],
    parameter: Tensor,
    gradient: Tensor,
    moments: Sequence[Tensor],
    step: Tensor,
) -> None:
    """Take Adam's step, torch's own, on a parameter or some rows of one, in place.

    Args:
        group: the optimiser's options.
        parameter: it, or its rows; changed.
        gradient: of the same shape.
        moments: those of the first and second order, and of AMSGrad the largest.
        step: number of steps taken before; it counts on.
    """
    first, second, *largest = moments
    adam(
        [parameter],
        [gradient],
        [first],
        [second],
        largest,
        [step],
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        **{name: group[name] for name in _ADAM_OPTIONS},
    )


def optimizer_lookahead(optimizer: Optimizer) -> Lookahead:
    """Choose the fastest way to look ahead by the optimiser's own step."""
    plain = type(optimizer) in (Adam, AdamW)  # a subclass may step otherwise
    return AdamLookahead(optimizer) if plain else OptimizerLookahead(optimizer)


def sgd_lookahead(optimizer: Optimizer) -> Lookahead:
    """Look ahead to θ - lr · g, the change that plain gradient descent would make."""

    @torch.no_grad()
    def ahead(gradients: Sequence[Tensor]) -> list[Tensor]:
        triples = _with_gradients(optimizer, gradients)
        return [p.detach() - group["lr"] * g for p, g, group in triples]

    return ahead


def no_lookahead(optimizer: Optimizer) -> Lookahead:
    """Look at θ itself: the regulariser acts only after the step has gone astray."""
    return lambda _gradients: [p.detach() for p in parameters_of(optimizer)]


LOOKAHEADS.add("optimizer", optimizer_lookahead)
LOOKAHEADS.add("sgd", sgd_lookahead)
LOOKAHEADS.add("none", no_lookahead)
