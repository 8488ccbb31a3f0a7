"""How far tasks have drifted: what a fit of another task changed of them, told and warned of."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hypermnesia import tree
from hypermnesia.learner.design import Design, bound_of
from hypermnesia.learner.knowledge import Fit, Knowledge
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.targets import DENSE, Label
from hypermnesia.tree import Tree

_PROBES = 256
_SWING = 4  # of tasks about their mean, which is what is bounded


@dataclass(frozen=True)
class Drift:
    """What a fit changed of another task.

    Attributes:
        answers: share of the answers to samples of the fit that became others; of values, the mean
            squared change over their variance. They are not the task's own samples, on which it is
            surer, so fewer of its own answers change.
        weights: the squares of the changes of its weights over those of the weights, or of what the
            task changes of a pretrained model's.
    """

    answers: float
    weights: float


@torch.no_grad()
def drifts(before: Knowledge, after: Knowledge, fit: Fit) -> dict[Label, Drift]:
    """Compare what is known of all tasks but the one of `fit`, before it and after it."""
    probes = fit.samples.batch(torch.arange(min(len(fit.samples), _PROBES))).x
    probes = tree.to(probes, torch.device("cpu"))
    others = [task for task in range(len(before.records)) if task != fit.task]
    return {before.records[task].name: _drift(before, after, task, probes) for task in others}


def _drift(before: Knowledge, after: Knowledge, task: int, x: Tree) -> Drift:
    then, now = before.network(task), after.network(task)
    pairs = [*zip(now.parameters(), then.parameters(), strict=True)]
    pairs = [(a, b) for a, b in pairs if b.is_floating_point()]  # others are frozen
    moved = sum(float((a - b).square().sum()) for a, b in pairs)
    size = sum(float(b.square().sum()) for _, b in pairs)
    if before.design.start == "pretrained":
        memory: Any = before.method.memory  # type: ignore[attr-defined]  # a hypernetwork's
        size = memory.size(task) * memory.target.scale**2
    asked = [tree.logits_of(tree.forward(network, x)) for network in (now, then)]
    targets = before.records[task].targets
    if before.design.problem in DENSE:
        changed = float((targets.answer(asked[0]) != targets.answer(asked[1])).mean())
    else:
        changed = _changed(*asked, classes=before.design.problem == "classification")
    return Drift(changed, moved / max(size, 1e-30))


def _changed(now: Tensor, then: Tensor, *, classes: bool) -> float:
    if classes:
        return float((now.argmax(dim=1) != then.argmax(dim=1)).float().mean())
    return float((now - then).square().mean() / then.var(dim=0).mean().clamp(min=1e-12))


def warn_of(
    found: Mapping[Label, Drift], settings: LearnerSettings, task: Label, design: Design
) -> None:
    """Warn, by name, of tasks that drifted further than the bound, where there is one."""
    if settings.beta != "auto":
        return
    bound = bound_of(settings, design.start)
    far = [name for name, drift in found.items() if drift.weights > _SWING * bound]
    if far:
        names = ", ".join(map(repr, far[:5])) + (", ..." if len(far) > 5 else "")
        most = max(found[name].weights for name in far)
        warnings.warn(
            f"learning {task!r} changed the weights of {names} by up to {100 * most:.2g} %, where "
            f"drift={bound:g} was to hold; raise compression, or iterations",
            UserWarning,
            stacklevel=4,
        )
