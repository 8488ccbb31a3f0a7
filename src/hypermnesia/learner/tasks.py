"""Tasks of a learner as things: to be removed, renamed, and taken over from another learner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from hypermnesia.compute import Lock, undisturbed
from hypermnesia.errors import ConfigError
from hypermnesia.learner.arrays import Form
from hypermnesia.learner.drift import Drift
from hypermnesia.learner.frozen import Servable
from hypermnesia.learner.knowledge import Knowledge, task_name
from hypermnesia.learner.persistence import check_same, description
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.targets import Label, Own
from hypermnesia.registry import unknown_name

Self = TypeVar("Self", bound="TaskEditor")


class TaskEditor(Servable):
    """What changes the tasks of a learner; an error leaves it as it was."""

    _fitting: Lock
    _own: Own
    model: nn.Module
    settings: LearnerSettings
    device: torch.device
    drift_: dict[Label, Drift]

    def remove(self: Self, task: Label, *, erase: bool = False) -> Self:
        """Forget a task: embedding, buffers, head, evidence, and chunks of θ that it alone used.

        The others answer as before, bit for bit, and the task is no longer protected. Without the
        embedding nobody can ask for its network; but θ holds it until later fits overwrite it,
        which may take many: whoever has a copy of the embedding, such as an earlier file, could
        still make it. `erase` prevents that. What all tasks share (parameters that are not
        generated) stays.

        Args:
            task: its name. Without its last task a learner is as before its first fit.
            erase: overwrite it at once, in as many updates as a fit's: they bring the weights that
                the embedding makes to those of the task that is nearest, while all others are held
                by the regulariser, which changes them a little. Not so an autoencoder's weights.

        Returns:
            The learner.

        Raises:
            ConfigError: an unknown task, or a method or evidence that keeps no task apart.
        """
        with self._edited() as learning:
            learning.remove(_number(learning, task), erase=erase)
        return self

    def rename(self: Self, old: Label, new: Label) -> Self:
        """Call a task by another name; raises `ConfigError` for an unknown one, or one in use."""
        with self._edited() as learning:
            index = _number(learning, old)
            records = learning.records
            others = [each.name for each in records if each is not records[index]]
            name = task_name(new, others)
            if learning.index(name) not in (None, index):
                raise _taken(name)
            records[index] = replace(records[index], name=name)
        return self

    def merge(self, other: Servable) -> dict[Label, float]:
        """Learn the tasks of another learner of the same model, which stays as it is; no data.

        As many updates as a fit's bring new embeddings and θ to where they make the other's
        weights, while own tasks are held by the regulariser: the loss is R, for all of them.

        Args:
            other: a learner, or a frozen one, with the same settings and other task names.

        Returns:
            For each new task ‖W - W*‖ / ‖W*‖, how far its weights W are from the other's W*. Score
            tasks on data where you have some; a larger `compression` holds more.

        Raises:
            ConfigError: names in common; other kinds of inputs or targets; an evidence, or a
                method, that keeps no task apart.
            RunError: another model.
        """
        with self._edited() as learning:
            theirs = other._learned
            _check_alike(learning, theirs)
            errors = learning.merge(theirs)
            return dict(zip([each.name for each in theirs.records], errors, strict=True))

    def adapt(
        self: Self,
        x: Any,
        y: Any = None,
        *,
        task: Label,
        how: Literal["encoder", "gradient", "both"] | None = None,
        like: Label | None = None,
    ) -> Self:
        """Add a task from a few samples; what all tasks share, θ among it, stays as it is.

        The task gets an embedding, and with it a network, a head and labels like those of the known
        task whose network has the least loss on the samples. It answers as others do, and `fit`
        goes on with it; until then `summary` marks it as adapted.

        Args:
            x: (k, *sample) inputs.
            y: (k,) labels, or values, as of `fit`. Without labels, which needs a learner that
                infers tasks, it gets the embedding of the task that all inputs speak for.
            task: its name, a new one.
            how: `gradient` searches for an embedding from that of the known task; `encoder`, a part
                of method="hnet-data", makes one of the samples at once; `both` searches from the
                better of both. By default `both` where there is an encoder.
            like: the known task whose labels it has; by default any that has all of `y`.

        Returns:
            The learner.

        Raises:
            ConfigError: a known name; a method, an encoder or an evidence that cannot.
            DataError: labels that no known task has, or inputs unlike its own.
        """
        from hypermnesia.learner.adaptation import adapt  # which few need

        with self._edited() as learning:
            adapt(learning, x, y, task, how, like)
        return self

    def import_adapter(
        self,
        folder: str | Path,
        task: Label,
        *,
        classes: Sequence[Label] | None = None,
    ) -> float:
        """Learn an adapter of PEFT as a task, by its weights alone; no data (extra `peft`).

        As many updates as a fit's bring a new embedding and θ to where they make the adapter, while
        other tasks are held by the regulariser. For many adapters `import_adapters` is better: one
        fit for all of them.

        Args:
            folder: one that PEFT's `save_pretrained` wrote, of the same layers and of at most the
                rank of the learner's model.
            task: its name.
            classes: the labels of its outputs; by default 0, 1, ...

        Returns:
            ‖ΔW - ΔW*‖ / ‖ΔW*‖, how far what is made is from what the adapter adds to the model.

        Raises:
            RunError: a folder of something else.
            ConfigError: a task that is known, or a way to infer tasks that needs data.
        """
        given = {} if classes is None else {task: classes}
        return self.import_adapters({task: folder}, classes=given)[task]

    def import_adapters(
        self,
        folders: Mapping[Any, str | Path],
        *,
        classes: Mapping[Any, Sequence[Any]] | None = None,
    ) -> dict[Label, float]:
        """Learn adapters of PEFT as tasks, all in one fit; returns the error of each.

        A learner that knows no task takes sixteen or more in by a basis that they share, the best
        one in closed form: a fifth of their numbers, or what `compression` allows, which may be
        above 1. Others are fitted by gradient.

        Args:
            folders: by the name of the task, as of `import_adapter`.
            classes: labels of the outputs of tasks, where they are not 0, 1, ...

        Returns:
            By task as `import_adapter`; raises as it does.
        """
        from hypermnesia.learner.adapters import take_in  # which few ask for

        with self._edited(blank=len(folders)) as learning:
            names = {task_name(task, self.tasks): Path(path) for task, path in folders.items()}
            for name in names:
                if learning.index(name) is not None:
                    raise _taken(name)
            errors = take_in(learning, names, classes or {})
            return dict(zip(names, errors, strict=True))

    @contextmanager
    def _edited(self, *, blank: int = 0) -> Iterator[Knowledge]:
        """A copy of what is known, which takes its place when it has been changed.

        Where so many tasks come without data, a learner may know nothing yet.
        """
        with self._fitting, undisturbed(self.device), torch.enable_grad():
            if blank and self._knowledge is None:
                from hypermnesia.learner.adapters import blank_knowledge

                made_of = self.model, self.settings, self.device, self._own
                learning = blank_knowledge(*made_of, tasks=blank)
            else:
                learning = self._learned.copy()
            yield learning
            self._knowledge = learning if learning.records else None
            self.drift_ = {name: self.drift_[name] for name in self.tasks if name in self.drift_}


def _number(knowledge: Knowledge, task: Label) -> int:
    if (index := knowledge.index(task)) is None:
        raise unknown_name("task", task, [str(each.name) for each in knowledge.records])
    return index


def _taken(name: Label) -> ConfigError:
    rule, hint = "tasks must have different names", "rename one of them"
    return ConfigError(rule, got=f"{name!r:.40} twice", hint=hint)


def _check_alike(own: Knowledge, other: Knowledge) -> None:
    """Raise an error that says in what two learners differ that are to become one."""
    check_same(description(own.model), description(other.model), "to merge, got")
    for what, ours, theirs in _settings_of(own, other):
        if ours != theirs:
            rule = f"to merge, learners must have the same {what}"
            raise ConfigError(rule, got=f"{ours} and {theirs}", hint="fit both alike")
    for record in other.records:
        task_name(record.name, [each.name for each in own.records])
        if own.index(record.name) is not None:
            raise _taken(record.name)


def _settings_of(own: Knowledge, other: Knowledge) -> Iterator[tuple[str, Any, Any]]:
    """What both must have: its name, and the values of each."""
    for name in ("infer_task", "method", "head", "generated"):
        yield name, getattr(own.settings, name), getattr(other.settings, name)
    yield "problem", own.design.problem, other.design.problem
    yield "inputs", _kind_of(own.design.form), _kind_of(other.design.form)


def _kind_of(form: Form) -> tuple[Any, ...]:
    return form.columns, form.bytes, form.unit if form.bytes else None
