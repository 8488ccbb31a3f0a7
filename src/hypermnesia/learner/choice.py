"""What `infer_task="auto"` stands for: kinds of evidence that the first fit's inputs can have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from hypermnesia.learner.design import LearnerSettings
from hypermnesia.learner.targets import Problem

_SEVERAL = ("best", "sum")  # which choose among candidates


class Chosen(NamedTuple):
    """Settings with an evidence in the place of `auto`, why it, and among what it chooses."""

    settings: LearnerSettings
    why: str = ""
    candidates: tuple[str, ...] = ()


def chosen(settings: LearnerSettings, problem: Problem, inputs: Iterable[Tensor]) -> Chosen:
    """What tells tasks apart: of several kinds that the inputs can have, the best on held-out ones.

    None of them costs anything in training. Gaussians told tasks apart better than autoencoders
    wherever both were tried, so these are not among them (benchmarks/learner/inference.py).
    """
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


def _seen(inputs: Iterable[Tensor]) -> tuple[str, bool]:
    """What keeps (batch, *sample) inputs from having densities, if anything; are they images."""
    from hypermnesia.evidence.filters import filterable  # which learners of named tasks do without

    shapes = set()
    for x in inputs:
        if not x.is_floating_point():
            return "inputs are ids", False
        shapes.add(tuple(x.shape[1:]))
        if len(shapes) > 1:
            return "inputs have several shapes", False
    return "", all(map(filterable, shapes))
