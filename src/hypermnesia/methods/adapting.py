"""A network for a new task from a few labelled samples, with θ as it is.

Of a support set S of k samples the embedding is encoded (`hnet-data`), or found by gradient from
the known embedding with the least loss on S, or from the better of both:

    min_e L(h(e), S) + ‖e - e_0‖² / (2 k v),   v the variance of known embeddings' entries,

the largest posterior of e under N(e_0, v I), so that few samples move it little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.conditions import TaskEmbedding
from hypermnesia.hypernet.task_data import Support
from hypermnesia.methods.base import loss_of
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.tree import logits_of

How = Literal["encoder", "gradient", "both"]
"""By what an embedding is found."""


@dataclass(frozen=True)
class AdaptSettings:
    """Of the search by gradient; steps and prior were chosen on validation data of rotated digits.

    Attributes:
        steps: of Adam.
        lr: its step size, in units of the deviation √v.
        prior: how many times the prior's term counts.
    """

    steps: int = 60
    lr: float = 0.15
    prior: float = 0.1


_SETTINGS = AdaptSettings()


@torch.no_grad()
def losses_one_by_one(method: HypernetMethod, batch: Batch, tasks: Sequence[int]) -> Tensor:
    """(tasks,) `method.losses_of`, each network asked alone."""
    return torch.stack([_loss(method, task, batch) for task in tasks])


def _loss(method: HypernetMethod, task: int, batch: Batch) -> Tensor:
    logits = logits_of(method.memory.run(task, batch.x, training=False))
    return loss_of(method.criterion, logits, batch.y)


def check_adapts(method: Any, how: str) -> HypernetMethod:
    """The method; raises `ConfigError` for one that cannot adapt so."""
    rule = "to adapt, a hypernetwork must make the networks of tasks"
    if not isinstance(method, HypernetMethod):
        raise ConfigError(rule, got=type(method).__name__, hint="use method='hnet'")
    if not isinstance(method.memory.condition, TaskEmbedding):
        got = type(method.memory.condition).__name__
        raise ConfigError("to adapt, tasks must have embeddings", got=got)
    if not method.memory.tasks:
        raise ConfigError("to adapt, a task must be known", got="none", hint="fit one first")
    if how != "gradient" and not hasattr(method.memory.condition, "encoder"):
        rule, hint = "an encoder is part of hnet-data alone", "set how='gradient'"
        raise ConfigError(rule, got=f"how={how!r}", hint=f"{hint}, or method='hnet-data'")
    if not method.evidence.from_samples:
        rule = "evidence of an adapted task must need no training"
        hint = "make the learner with infer_task='gaussian', 'entropy' or None"
        raise ConfigError(rule, got=type(method.evidence).__name__, hint=hint)
    return method


def adapt_task(
    method: Any,
    batch: Batch,
    tasks: Sequence[int] = (),
    how: How = "gradient",
    settings: AdaptSettings = _SETTINGS,
) -> int:
    """Add a task with a network for labelled samples; returns the known task it is nearest to.

    `tasks` are the known ones whose labels it has, by default all with its number of outputs. Its
    head, buffers and shared parameters are those of the nearest of them. Raises as `check_adapts`
    does, and `ConfigError` for an encoder that has seen no task.
    """
    method = check_adapts(method, how)
    candidates = [*tasks] or range(method.memory.tasks)
    near = candidates[int(method.losses_of(batch, candidates).argmin())]
    if how == "encoder" and not method.memory.condition.encoder.settled:
        raise ConfigError("an encoder needs a task that was trained", got="none", hint="fit one")
    new = _added(method, near)
    if how != "gradient":
        _encode(method, new, batch, always=how == "encoder")
    if how != "encoder":
        _search(method, new, batch, settings)
    method.evidence.end_task([batch])
    method.all_tasks.forget()
    return near


def nearest_by_evidence(method: Any, batch: Batch) -> int:
    """Add a task with the network of the one that unlabelled samples speak for; returns that.

    Raises as `check_adapts` does, and `ConfigError` for a method that must be told tasks.
    """
    method = check_adapts(method, "gradient")
    if method.answers == ("task",):
        rule, hint = "without labels, tasks must be inferred", "give labels, or set infer_task"
        raise ConfigError(rule, got="a learner that must be told them", hint=hint)
    near = int(method.logits_and_evidence(batch.x)[1].double().sum(dim=1).argmax())
    _added(method, near)
    method.evidence.end_task([batch])
    method.all_tasks.forget()
    return near


def _added(method: HypernetMethod, near: int) -> int:
    """Add a copy of a task; returns its index."""
    heads = method.scenario.heads
    method.evidence.begin_task(TaskSpec(heads[near], 0))
    method.memory.copy_task(near)
    method.scenario = replace(method.scenario, heads=(*heads, heads[near]))
    return method.memory.tasks - 1


@torch.no_grad()
def _encode(method: HypernetMethod, task: int, batch: Batch, *, always: bool) -> None:
    """Give a task the encoding of samples; or, if not `always`, where that has less loss."""
    condition: Any = method.memory.condition
    before, old = _loss(method, task, batch), condition([task])[0].clone()
    condition.put(task, condition([task], [Support(batch.original, batch.y)])[0])
    if not always and not _loss(method, task, batch) < before:
        condition.put(task, old)


def _search(method: HypernetMethod, task: int, batch: Batch, settings: AdaptSettings) -> None:
    """Move a task's embedding, and nothing else, down the loss on samples."""
    condition: Any = method.memory.condition
    with torch.no_grad():
        known = torch.stack([*condition.embeddings[:task]])
        variance = known.var(dim=0).mean() if task > 1 else known.square().mean()
    embedding = condition.embeddings[task]
    start, deviation = embedding.detach().clone(), float(variance.sqrt())
    weight = settings.prior / (2 * len(batch) * max(float(variance), 1e-12))
    optimizer = torch.optim.Adam([embedding], settings.lr * deviation)
    with torch.enable_grad():
        for _ in range(settings.steps):
            loss = _loss(method, task, batch) + weight * (embedding - start).square().sum()
            (embedding.grad,) = torch.autograd.grad(loss, [embedding])
            optimizer.step()
    embedding.grad = None
