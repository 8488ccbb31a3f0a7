"""What the first fit settles: what `infer_task="auto"` stands for, and what targets are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor

from hypermnesia.errors import ConfigError
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.targets import (
    DENSE,
    Classes,
    Labels,
    Problem,
    Targets,
    Values,
    from_json,
)
from hypermnesia.tree import Tree

_SEVERAL = ("best", "sum")  # which choose among candidates


class Chosen(NamedTuple):
    """Settings with an evidence in the place of `auto`, why it, and among what it chooses."""

    settings: LearnerSettings
    why: str = ""
    candidates: tuple[str, ...] = ()


def chosen(settings: LearnerSettings, problem: Problem, inputs: Iterable[Tree]) -> Chosen:
    """What tells tasks apart: of several kinds that the inputs can have, the best on held-out ones.

    None of them costs anything in training. Gaussians told tasks apart better than autoencoders
    wherever both were tried, so these are not among them (benchmarks/learner/inference.py).
    """
    if problem in DENSE:
        return Chosen(_named_tasks(settings, problem))
    way = settings.infer_task
    if way != "auto" and way not in _SEVERAL:
        return Chosen(settings)
    if way == "auto" and settings.method != "hnet":
        return Chosen(replace(settings, infer_task="gaussian"))
    obstacle, image = ("", False) if settings.features else _seen(inputs)
    classes = ("entropy",) if problem == "classification" else ()
    if not obstacle:
        found = ("gaussian", *(("filters",) if image else ()), *classes)
        several = "best" if way == "auto" else way
        return Chosen(
            replace(settings, infer_task=several), "inputs are real numbers of one shape", found
        )
    if classes:
        return Chosen(replace(settings, infer_task="entropy"), f"{obstacle}, which have no density")
    told = f"{obstacle}, and values no entropy: tasks must be named"
    return Chosen(replace(settings, infer_task=None), told)


def _seen(inputs: Iterable[Tree]) -> tuple[str, bool]:
    """What keeps (batch, *sample) inputs from having densities, if anything; are they images."""
    from hypermnesia.evidence.filters import filterable  # which learners of named tasks do without

    shapes = set()
    for x in inputs:
        if not isinstance(x, Tensor):
            return "inputs are several tensors", False
        if not x.is_floating_point():
            return "inputs are ids", False
        shapes.add(tuple(x.shape[1:]))
        if len(shapes) > 1:
            return "inputs have several shapes", False
    return "", all(map(filterable, shapes))


def _named_tasks(settings: LearnerSettings, problem: Problem) -> LearnerSettings:
    """The settings of a problem whose tasks must be named; raises `ConfigError` for others."""
    if settings.infer_task not in (None, "auto"):
        rule = f"tasks of problem={problem!r} must be named"
        got, hint = f"infer_task={settings.infer_task!r}", "set infer_task=None"
        raise ConfigError(rule, got=got, hint=hint)
    if settings.method != "hnet":
        rule = f"problem={problem!r} is for method='hnet'"
        raise ConfigError(rule, got=f"method={settings.method!r}")
    return replace(settings, infer_task=None)


def targets_of(problem: Problem, given: Any) -> Targets:
    """The targets of a new task."""
    if problem in DENSE:
        from hypermnesia.learner.dense import KINDS

        return KINDS[problem].of(given)
    return (Classes if problem == "classification" else Values).of(given)


def restored(stored: dict[str, Any]) -> Targets:
    """The targets that were `stored`."""
    if "kind" in stored:
        from hypermnesia.learner.dense import restored_dense

        return restored_dense(stored)
    if "labels" in stored:
        return Classes(Labels(map(from_json, stored["labels"])))
    return Values(stored["mean"], stored["spread"], single=stored["single"])
