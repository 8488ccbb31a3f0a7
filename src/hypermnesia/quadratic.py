"""A quadratic penalty on the parameters of a network whose last layer may grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.importance import Values


def sum_of_terms(
    terms: Sequence[tuple[Values, Values]], parameters: Mapping[str, Tensor]
) -> Tensor:
    """Σ_t Σ_i A_ti (θ_i - θ*_ti)² by its definition: a sum over terms (importance, point).

    A term made when a layer had fewer rows is about those rows.
    """
    total = torch.zeros(())
    for importance, point in terms:
        for name, a in importance.items():
            change = _rows(parameters[name], like=a) - point[name]
            total = total + (a * change.square()).sum()
    return total


class QuadraticPenalty:
    """Σ_i A_i (θ_i - m_i)² + constant.

    A sum of such penalties is another one, so that earlier tasks with a term each need no more
    memory and time than one: Σ_t A_t (θ - θ*_t)² = A (θ - m)² + constant with A = Σ_t A_t and m
    the mean of the θ*_t weighted by A_t. `sum_of_terms` is the definition.

    Attributes:
        importance: A, zero or above; empty before the first term.
        mean: m.
        constant: scalar tensor, what remains at θ = m.
    """

    def __init__(self) -> None:
        self.importance: Values = {}
        self.mean: Values = {}
        self.constant = torch.zeros(())

    def __len__(self) -> int:
        """Number of values that are stored."""
        return sum(v.numel() for kept in (self.importance, self.mean) for v in kept.values())

    def add(self, importance: Values, point: Mapping[str, Tensor]) -> None:
        """Add the term `importance` (θ - `point`)²; rows that are new have no earlier terms."""
        for name, a in importance.items():
            earlier, mean = self.padded(name, a)
            share = a / (earlier + a).clamp(min=torch.finfo(a.dtype).tiny)
            change = point[name].detach() - mean
            self.constant = self.constant.to(a) + (earlier * share * change.square()).sum()
            self.importance[name] = earlier + a
            self.mean[name] = mean + share * change

    def replace(self, importance: Values, point: Mapping[str, Tensor]) -> None:
        """Put the single term `importance` (θ - `point`)² in place of what there is."""
        self.importance = dict(importance)
        self.mean = {name: p.detach().clone() for name, p in point.items()}
        self.constant = torch.zeros(())

    def padded(self, name: str, like: Tensor) -> tuple[Tensor, Tensor]:
        """A and m of a parameter of the shape of `like`, zero in rows that are new."""
        both = torch.zeros_like(like), torch.zeros_like(like)
        if name in self.importance:
            for wide, kept in zip(both, (self.importance[name], self.mean[name]), strict=True):
                _rows(wide, like=kept).copy_(kept)
        return both

    @torch.no_grad()
    def pull(self, network: nn.Module, weight: float) -> Tensor:
        """Add the gradient of `weight` times the penalty to the network's; returns the product."""
        total = self.constant
        for name, parameter in network.named_parameters():
            if name not in self.importance or parameter.grad is None:
                continue
            a = self.importance[name]
            change = _rows(parameter, like=a) - self.mean[name]
            force = a * change
            _rows(parameter.grad, like=a).add_(force, alpha=2 * weight)
            total = total + (force * change).sum()
        return weight * total

    def state_dict(self) -> dict[str, Any]:
        """Everything that it is."""
        return {"importance": self.importance, "mean": self.mean, "constant": self.constant}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Put a new penalty where `state_dict` found the other."""
        self.importance, self.mean = (
            {name: value.to(device) for name, value in state[kept].items()}
            for kept in ("importance", "mean")
        )
        self.constant = state["constant"].to(device)


def _rows(tensor: Tensor, like: Tensor) -> Tensor:
    """The rows that `like` has too, as a view."""
    return tensor[: len(like)] if tensor.dim() else tensor
