"""All figures that a finished seed has data for, and why others are missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hypermnesia.errors import ConfigError, HypermnesiaError, RunError
from hypermnesia.evidence.autoencoders import VaeMemory, sampler_of
from hypermnesia.experiments.finished import FinishedSeed, transfer_matrix
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.methods import METHODS
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.report import Drawn
from hypermnesia.report.learned import Points, embedding_plot, memory_samples
from hypermnesia.report.matrices import embedding_transfer, task_confusion
from hypermnesia.training.logs import read_samples, samples_file, spread_out


@dataclass(frozen=True)
class Missing:
    """A kind of figure that could not be drawn.

    Attributes:
        kind: what it would show.
        reason: one line.
        damaged: whether the run should have the data for it.
    """

    kind: str
    reason: str
    damaged: bool


def figures_and_missing(finished: FinishedSeed) -> tuple[list[Drawn], list[Missing]]:
    """Draw the figures of a finished seed; return also the kinds that could not be drawn.

    Task confusion, embedding transfer matrix, plots of the task embeddings, and samples of the
    generative memory after each task. The transfer matrix is computed from the data, which takes as
    long as evaluating every task with every embedding (at most 10 tasks).
    """
    drawn: list[Drawn] = []
    missing: list[Missing] = []
    for kind, draw in _KINDS.items():
        try:
            drawn += draw(finished)
        except HypermnesiaError as error:
            damaged = not isinstance(error, ConfigError)
            missing.append(Missing(kind, str(error), damaged))
    return drawn, missing


def _confusions(finished: FinishedSeed) -> list[Drawn]:
    confusion = finished.result.confusion
    if not confusion:
        raise _not_for("task confusion is of methods that infer the task", finished)
    # Scenarios with the same counts share a figure.
    alike: dict[bytes, list[str]] = {}
    for name, counts in confusion.items():
        alike.setdefault(counts.tobytes(), []).append(name)
    samples = finished.config.data.evaluate_on
    return [
        task_confusion(np.frombuffer(counts, np.int64).reshape(-1, finished.tasks), names, samples)
        for counts, names in alike.items()
    ]


def _transfer(finished: FinishedSeed) -> list[Drawn]:
    _check_several_tasks(finished)
    method = finished.method
    if not isinstance(method, HypernetMethod):
        raise _not_for("embedding transfer needs a hypernetwork of classifiers", finished)
    parts, chosen = finished.parts(), spread_out(finished.tasks)
    matrix = transfer_matrix(method, [parts[task] for task in chosen])
    chance = np.mean([100 / method.scenario.heads[task] for task in chosen])
    return [embedding_transfer(matrix, chosen, float(chance), finished.config.data.evaluate_on)]


def _embeddings(finished: FinishedSeed) -> list[Drawn]:
    _check_several_tasks(finished)
    method, drawn = finished.method, []
    if isinstance(method, HypernetMethod):
        parts = [1] * method.memory.tasks
        drawn.append(embedding_plot(_points(method.memory, finished), "classifiers", parts))
    sampler = sampler_of(method)
    if isinstance(sampler, VaeMemory):
        points = _points(sampler.memory, finished)
        drawn.append(embedding_plot(points, "autoencoders", sampler.parts))
    if not drawn:
        raise _not_for("task embeddings are those of hypernetworks", finished)
    return drawn


def _points(memory: WeightMemory, finished: FinishedSeed) -> Points:
    """(n, E) embeddings."""
    embeddings = memory.condition(range(memory.tasks)).detach().double()
    if not embeddings.isfinite().all():
        raise RunError(f"{finished.folder.weights} must hold finite embeddings")
    points: Points = embeddings.numpy()
    return points


def _memory_samples(finished: FinishedSeed) -> list[Drawn]:
    chosen = spread_out(finished.tasks)
    files = {row: samples_file(finished.folder.samples, row) for row in chosen}
    there = {row: file for row, file in files.items() if file.is_file()}
    if not there:
        if "vae" in METHODS[finished.config.method].sections:
            raise ConfigError(
                "samples are stored while a generative memory of images learns",
                got=f"no file in {finished.folder.samples}",
            )
        raise _not_for("samples are stored by methods with a generative memory", finished)
    samples = {
        row: read_samples(file, [task for task in chosen if task <= row])
        for row, file in there.items()
    }
    if len({(x.shape, None in each) for each in samples.values() for x in each.values()}) != 1:
        raise RunError(
            f"the files in {finished.folder.samples} must be of one training",
            got="images of several kinds",
            hint="train the seed anew with --overwrite",
        )
    return [memory_samples(samples)]


_KINDS: dict[str, Callable[[FinishedSeed], list[Drawn]]] = {
    "task confusion": _confusions,
    "embedding transfer": _transfer,
    "task embeddings": _embeddings,
    "samples of the generative memory": _memory_samples,
}


def _check_several_tasks(finished: FinishedSeed) -> None:
    if finished.tasks < 2:
        raise ConfigError("embeddings are compared between tasks", got="one task")


def _not_for(rule: str, finished: FinishedSeed) -> ConfigError:
    return ConfigError(rule, got=finished.config.method)
