"""A new task of a learner from a few samples of it, without a step on what all tasks share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import torch
from torch import Tensor

from hypermnesia import tree
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError, DataError
from hypermnesia.learner.checks import check_model
from hypermnesia.learner.inputs import InputSource, source_of
from hypermnesia.learner.knowledge import Knowledge, TaskRecord, task_name
from hypermnesia.learner.samples import SourceSamples
from hypermnesia.learner.targets import Label, Values
from hypermnesia.methods.adapting import (
    How,
    adapt_task,
    check_adapts,
    nearest_by_evidence,
)
from hypermnesia.registry import unknown_name


def adapt(
    learning: Knowledge, x: Any, y: Any, task: Label, how: str | None, like: Label | None
) -> None:
    """Add a task; see `TaskEditor.adapt`, which says what is raised."""
    names = [record.name for record in learning.records]
    name = task_name(task, names)
    if learning.index(name) is not None:
        rule, hint = "an adapted task is a new one", "give another name, or go on with fit"
        raise ConfigError(rule, got=f"task={name!r:.40}, which is known", hint=hint)
    if how is None:
        condition = getattr(getattr(learning.method, "memory", None), "condition", None)
        how = "both" if hasattr(condition, "encoder") else "gradient"
    if how not in get_args(How):
        raise unknown_name("way to adapt", how, get_args(How))
    check_adapts(learning.method, how)
    source = source_of(x, y, form=learning.design.form)
    if not len(source):
        raise DataError("an adapted task needs samples", got="none", hint="give some")
    check_model(learning.model, source)
    if y is None:
        _without_labels(learning, source, name, like)
        return
    given = source.targets()
    learning._check_problem(given)
    near, batch = _nearest(learning, source, given, _candidates(learning, given, like))
    adapt_task(learning.method, batch, [near], how)  # type: ignore[arg-type]
    _record(learning, name, near, len(batch))


def _without_labels(
    learning: Knowledge, source: InputSource, name: Label, like: Label | None
) -> None:
    """Let a task have the embedding of the one that all inputs together speak for."""
    if like is not None:
        rule, hint = "like goes with labels", "leave it out, or give labels"
        raise ConfigError(rule, got=f"like={like!r:.40} without any", hint=hint)
    x = source.read(torch.arange(len(source)))
    nothing = torch.zeros(len(source), device=learning.device)
    batch = Batch(tree.to(x, learning.device), nothing, nothing.long())
    near = nearest_by_evidence(learning.method, batch)
    _record(learning, name, near, len(source))


def _candidates(learning: Knowledge, given: Any, like: Label | None) -> dict[int, Tensor]:
    """The known tasks that have all these labels, and what those are among its outputs."""
    if like is not None:
        if (index := learning.index(like)) is None:
            raise unknown_name("task", like, [str(each.name) for each in learning.records])
        return {index: learning.records[index].targets.encode(given)}
    found, reason = {}, ""
    for index, record in enumerate(learning.records):
        try:
            found[index] = record.targets.encode(given)
        except DataError as error:
            reason = str(error.got)
    if not found:
        rule = "the labels of an adapted task must all be those of one known task"
        raise DataError(rule, got=reason, hint="fit it as a task of its own")
    return found


def _nearest(
    learning: Knowledge, source: InputSource, given: Any, candidates: dict[int, Tensor]
) -> tuple[int, Batch]:
    """The candidate whose network has the least loss, and the samples with its labels."""
    method = check_adapts(learning.method, "gradient")
    found: dict[int, float] = {}
    batches: dict[int, Batch] = {}
    for encoded, tasks in _alike(candidates):
        targets, rows = learning.records[tasks[0]].targets, torch.arange(len(source))
        of = source, targets.encode, encoded, rows, tasks[0], learning.device
        batch = SourceSamples(*of).placed(source.read(rows), given)
        for task, loss in zip(tasks, method.losses_of(batch, tasks).tolist(), strict=True):
            own = learning.records[task].targets
            # Losses of values are in units of each task's own.
            unit = float(own.spread.square().mean()) if isinstance(own, Values) else 1.0
            found[task], batches[task] = loss * unit, batch
    near = min(found, key=found.__getitem__)
    return near, batches[near]


def _alike(candidates: dict[int, Tensor]) -> list[tuple[Tensor, Sequence[int]]]:
    """Tasks in groups for which the samples' labels have the same numbers."""
    groups: list[tuple[Tensor, list[int]]] = []
    for task, encoded in candidates.items():
        for other, tasks in groups:
            if torch.equal(other, encoded):
                tasks.append(task)
                break
        else:
            groups.append((encoded, [task]))
    return [*groups]


def _record(learning: Knowledge, name: Label, near: int, samples: int) -> None:
    """Note the task; held-out samples, by which it could be calibrated, there are none of."""
    targets = learning.records[near].targets
    learning.records.append(TaskRecord(name, targets, samples, adapted=True))
    learning.calibrations.copy(near)
