"""The head of a hypernetwork in closed form: h(e, c) = V φ(e, c) is linear in V.

Of all heads, the one that minimises Σ_r w_r ‖V φ_r - Y_r‖² over rows r = (task, chunk), new tasks'
wanted weights and old tasks' present ones, solves normal equations of k x k numbers:
V = (Σ w Y φᵀ)(Σ w φ φᵀ)⁻¹. As few numbers stand for the old tasks' rows, Y = V* φ*, they are never
made. What a shared basis of adapters is to Compress-then-Serve (arXiv 2407.00066), V is here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from hypermnesia.hypernet.memory import WeightMemory

_RIDGE = 1e-7  # of the mean of the diagonal, on what the head moves by


@dataclass(frozen=True)
class Held:
    """What tasks made when they were last right: V* and, for each, (C, k) features φ*."""

    head: Float[Tensor, "D k"]
    features: list[Float[Tensor, "C k"]]


@torch.no_grad()
def held(memory: WeightMemory, tasks: Sequence[int]) -> Held:
    """Note what tasks make now."""
    return Held(_augmented(memory), [_features(memory, task) for task in tasks])


@torch.no_grad()
def solve_head(
    memory: WeightMemory,
    tasks: Sequence[int],
    wanted: Sequence[Float[Tensor, " N"]],
    others: Sequence[int] = (),
    before: Held | None = None,
    beta: float = 1.0,
) -> None:
    """Bring the head to where `tasks` make their wanted weights best, and `others` theirs of before.

    Least is mean_t ‖h(e_t) - W_t‖² + β mean_o ‖h(e_o) - h*(e_o)‖², the loss of `refit`.
    """
    plans, head = memory.plans, _augmented(memory).double()
    known = [plans[task].used for task in (*tasks, *others)]
    ends = sorted({n for used in known for n in used})  # columns up to these have the same rows
    wide = head.shape[1]
    gram = head.new_zeros(len(ends), wide, wide)
    missing = torch.zeros_like(head).T.contiguous()  # (k, D) of what is not made yet
    for task, whole in zip(tasks, wanted, strict=True):
        features, used = _features(memory, task).double() / len(tasks) ** 0.5, plans[task].used
        rows = torch.split(whole.double() / len(tasks) ** 0.5, list(used))
        _add_gram(gram, ends, features, used)
        for feature, row in zip(features, rows, strict=True):
            left = row - head[: len(row)] @ feature
            missing[:, : len(row)] += feature[:, None] * left
    if before is not None:
        scale = (beta / max(1, len(others))) ** 0.5
        for task, old in zip(others, before.features, strict=True):
            features, used = _features(memory, task).double() * scale, plans[task].used
            _add_gram(gram, ends, features, used)
            star, then = before.head.double(), old.double() * scale
            for start, end in zip([0, *ends], ends, strict=False):
                some = torch.tensor([n >= end for n in used], device=features.device)
                moved = then[some].T @ features[some], features[some].T @ features[some]
                part = slice(start, min(end, len(star)))
                missing[:, part] += (star[part] @ moved[0] - head[part] @ moved[1]).T
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        own = gram[number]
        least = _RIDGE * own.diagonal().mean().clamp(min=1e-30)
        own = own + least * torch.eye(wide).to(own)
        head[start:end] += torch.linalg.solve(own, missing[:, start:end]).T
    _put(memory, head)


def _add_gram(gram: Tensor, ends: Sequence[int], features: Tensor, used: Sequence[int]) -> None:
    for number, end in enumerate(ends):
        some = torch.tensor([n >= end for n in used], device=features.device)
        gram[number] += features[some].T @ features[some]


def _features(memory: WeightMemory, task: int) -> Tensor:
    """(C, k) features of a task, with a 1 behind them where the head has a bias."""
    conditions = memory.condition([task]).detach()
    found = memory.hypernet.features(conditions, memory.plans[task].count)[0]
    if memory.hypernet.head.bias is None:
        return found
    return torch.cat([found, torch.ones_like(found[:, :1])], dim=1)


def _augmented(memory: WeightMemory) -> Tensor:
    """(D, k) the head's matrix, with its bias behind it where it has one."""
    head = memory.hypernet.head
    bias = [] if head.bias is None else [head.bias.detach()[:, None]]
    return torch.cat([head.weight.detach(), *bias], dim=1)


def _put(memory: WeightMemory, matrix: Tensor) -> None:
    head = memory.hypernet.head
    wide = head.in_features
    head.weight.copy_(matrix[:, :wide])
    if head.bias is not None:
        head.bias.copy_(matrix[:, wide])
