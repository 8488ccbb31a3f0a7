"""What `infer_task="auto"` stands for, settled by the first fit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from torch import Tensor

from hypermnesia.evidence import is_density
from hypermnesia.learner.design import LearnerSettings
from hypermnesia.learner.targets import Problem
from hypermnesia.tree import Tree


def chosen(
    settings: LearnerSettings, problem: Problem, inputs: Iterable[Tree]
) -> tuple[LearnerSettings, str]:
    """The settings with an evidence in the place of `auto`, and why this one.

    Gaussians cost nothing in training, and told tasks apart better than autoencoders wherever both
    were tried (benchmarks/learner/inference.py), so real numbers have them.
    """
    if is_density(settings.infer_task) or settings.infer_task != "auto":
        return settings, ""
    if settings.method != "hnet":
        return replace(settings, infer_task="gaussian"), ""
    obstacle = "" if settings.features else _obstacle(inputs)
    if not obstacle:
        return replace(settings, infer_task="gaussian"), "inputs are real numbers of one shape"
    if problem == "classification":
        return replace(settings, infer_task="entropy"), f"{obstacle}, which have no density"
    told = f"{obstacle}, and values no entropy: tasks must be named"
    return replace(settings, infer_task=None), told


def _obstacle(inputs: Iterable[Tree]) -> str:
    """What keeps (batch, *sample) inputs from having densities; empty if nothing does."""
    shapes = set()
    for x in inputs:
        if not isinstance(x, Tensor):
            return "inputs are several tensors"
        if not x.is_floating_point():
            return "inputs are ids"
        shapes.add(tuple(x.shape[1:]))
        if len(shapes) > 1:
            return "inputs have several shapes"
    return ""
