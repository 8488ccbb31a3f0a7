"""All figures that a seed of a run has data for, and why others are missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from hypermnesia.errors import ConfigError, HypermnesiaError, RunError
from hypermnesia.evidence.autoencoders import VaeMemory, sampler_of
from hypermnesia.experiments.finished import FinishedSeed, transfer_matrix
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.methods import METHODS
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.report import Drawn
from hypermnesia.report.learned import Points, embedding_map, memory_samples
from hypermnesia.report.matrices import embedding_transfer, task_confusion
from hypermnesia.training.logs import read_samples, samples_file, spread_out


@dataclass(frozen=True)
class Missing:
    """A kind of figure that a run has no data for.

    Attributes:
        kind: what it would show.
        reason: one line.
        damaged: whether a run of the method should have them.
    """

    kind: str
    reason: str
    damaged: bool


def figures_and_missing(of: FinishedSeed) -> tuple[list[Drawn], list[Missing]]:
    """The figures of a finished seed, and the kinds that there are none of.

    Task confusion, embedding transfer matrix, maps of the task embeddings, and images of the
    generative memory after each task. The transfer matrix is computed anew, which needs the data
    and takes the time of evaluating every task with every embedding (of 10 tasks at most).
    """
    drawn: list[Drawn] = []
    missing: list[Missing] = []
    for kind, draw in _KINDS.items():
        try:
            drawn += draw(of)
        except HypermnesiaError as error:
            damaged = not isinstance(error, ConfigError)
            missing.append(Missing(kind, str(error), damaged))
    return drawn, missing


def _confusions(of: FinishedSeed) -> list[Drawn]:
    confusion = of.result.confusion
    if not confusion:
        raise _without("task confusion is of methods that infer the task", of)
    # Scenarios in which the same tasks were inferred share a figure.
    alike: dict[bytes, list[str]] = {}
    for name, counts in confusion.items():
        alike.setdefault(counts.tobytes(), []).append(name)
    samples = of.config.data.evaluate_on
    return [
        task_confusion(np.frombuffer(counts, np.int64).reshape(-1, of.tasks), names, samples)
        for counts, names in alike.items()
    ]


def _transfer(of: FinishedSeed) -> list[Drawn]:
    _check_several_tasks(of)
    method = of.method
    if not isinstance(method, HypernetMethod):
        raise _without("embeddings are transferred by a hypernetwork that makes classifiers", of)
    parts, chosen = of.parts(), spread_out(of.tasks)
    matrix = transfer_matrix(method, [parts[task] for task in chosen])
    chance = np.mean([100 / method.scenario.heads[task] for task in chosen])
    return [embedding_transfer(matrix, chosen, float(chance), of.config.data.evaluate_on)]


def _embeddings(of: FinishedSeed) -> list[Drawn]:
    _check_several_tasks(of)
    method, drawn = of.method, []
    if isinstance(method, HypernetMethod):
        parts = [1] * method.memory.tasks
        drawn.append(embedding_map(_points(method.memory, of), "classifiers", parts))
    sampler = sampler_of(method)
    if isinstance(sampler, VaeMemory):
        points = _points(sampler.memory, of)
        drawn.append(embedding_map(points, "autoencoders", sampler.parts))
    if not drawn:
        raise _without("task embeddings are those of hypernetworks", of)
    return drawn


def _points(memory: WeightMemory, of: FinishedSeed) -> Points:
    """(n, E) embeddings."""
    embeddings = torch.stack(list(memory.embeddings)).detach().double()
    if not embeddings.isfinite().all():
        raise RunError(f"{of.folder.weights} must hold finite embeddings")
    points: Points = embeddings.numpy()
    return points


def _memory_samples(of: FinishedSeed) -> list[Drawn]:
    chosen = spread_out(of.tasks)
    files = {row: samples_file(of.folder.samples, row) for row in chosen}
    there = {row: file for row, file in files.items() if file.is_file()}
    if not there:
        if "vae" in METHODS[of.config.method].sections:
            raise ConfigError(
                "samples are stored while a generative memory of images learns",
                got=f"no file in {of.folder.samples}",
            )
        raise _without("samples are stored by methods with a generative memory", of)
    samples = {
        row: read_samples(file, [task for task in chosen if task <= row])
        for row, file in there.items()
    }
    if len({(x.shape, None in each) for each in samples.values() for x in each.values()}) != 1:
        raise RunError(
            f"the files in {of.folder.samples} must be of one training",
            got="images of several kinds",
            cure="train the seed anew with --overwrite",
        )
    return [memory_samples(samples)]


_KINDS: dict[str, Callable[[FinishedSeed], list[Drawn]]] = {
    "task confusion": _confusions,
    "embedding transfer": _transfer,
    "task embeddings": _embeddings,
    "samples of the generative memory": _memory_samples,
}


def _check_several_tasks(of: FinishedSeed) -> None:
    if of.tasks < 2:
        raise ConfigError("embeddings are compared between tasks", got="one task")


def _without(rule: str, of: FinishedSeed) -> ConfigError:
    return ConfigError(rule, got=of.config.method)
