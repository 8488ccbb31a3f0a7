"""Figures of tasks that were not learned: networks from a few samples, and their embeddings.

Further tasks of a run's benchmark, where tasks are variants of one another, get a network from k
labelled training samples each, by every way of `hypermnesia.methods.adapting`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from string import ascii_lowercase
from typing import Any, get_args

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hypermnesia.data.benchmarks import BENCHMARKS, make_tasks
from hypermnesia.data.types import Batch, Part
from hypermnesia.errors import RunError
from hypermnesia.experiments.finished import FinishedSeed
from hypermnesia.experiments.run import benchmark_settings, train_settings
from hypermnesia.hypernet.task_data import DataCondition
from hypermnesia.methods.adapting import How, adapt_task, check_adapts
from hypermnesia.report import canvas
from hypermnesia.report.canvas import SCALES, Drawn
from hypermnesia.seeding import Generators
from hypermnesia.training.evaluation import measure_of
from hypermnesia.training.phases import Measure, evaluation_part

Numbers = NDArray[np.float64]
Scores = Mapping[str, Mapping[int, Sequence[float]]]
"""By name of a way and k: a value for each task, or seed."""

SAMPLES = (1, 5, 10, 20)
_UNSEEN = 5  # tasks
_ASKED = 1000  # samples of each


def curves(found: Scores, measure: Measure, of: str, marks: Mapping[str, float] = {}) -> Drawn:
    """Draw a line a way: the mean over values, and their standard error, against k.

    Args:
        found: values by way and k.
        measure: what values are.
        of: what there is a value of, in words: `20 tasks that were not learned`.
        marks: values to draw as horizontal lines, by name.
    """
    scale = SCALES[measure]
    figure, axes = canvas.new_axes()
    ks = sorted({k for each in found.values() for k in each})
    places = {k: place for place, k in enumerate(ks)}
    words = []
    for index, (name, by_k) in enumerate(found.items()):
        own = sorted(by_k)
        stats = [canvas.mean_and_error(np.array(by_k[k], dtype=np.float64)) for k in own]
        means, errors = ([float(stat[i]) for stat in stats] for i in (0, 1))
        style = canvas.line_style(index, len(own))
        axes.errorbar([places[k] for k in own], means, errors, **style, capsize=2, label=name)
        values = zip(own, means, strict=True)
        words.append(f"{name}: " + ", ".join(f"{scale.text(m)} (k = {k})" for k, m in values))
    for name, value in marks.items():
        axes.axhline(value, color="#888888", linestyle="--", linewidth=1, label=name)
        words.append(f"{name}: {scale.text(value)}")
    axes.set_xticks(range(len(ks)), [str(k) for k in ks])
    canvas.label_axes(axes, "k, labelled samples of the task", scale.label)
    canvas.legend_below(figure, axes)
    text = f"{scale.words.capitalize()}, mean of {of}, by networks made from k labelled samples. "
    if "nearest" in found:
        text += "Nearest: the learned task's network that has the least loss on these. "
    return Drawn("few-shot", "Tasks from a few samples", text + "; ".join(words) + ".", figure)


def fallen(known: Numbers, new: Numbers, names: Sequence[str], k: int) -> Drawn:
    """Plot (n, E) embeddings among the (T, E) of learned tasks, on the components of these.

    `names` are those of the learned tasks and of the others, which were found from k samples.
    """
    known, new = (np.pad(each, ((0, 0), (0, each.shape[1] == 1))) for each in (known, new))
    centre = known.mean(axis=0)
    components = np.linalg.svd(known - centre, full_matrices=False)[2][:2]
    old, places = ((each - centre) @ components.T for each in (known, new))
    distances = np.linalg.norm(new[:, None] - known, axis=2)
    near = distances.argmin(axis=1)
    figure, axes = canvas.new_axes(canvas.NARROW, canvas.NARROW)
    axes.scatter(old[:, 0], old[:, 1], s=30, color=canvas.COLOURS[9], label="learned")
    axes.scatter(places[:, 0], places[:, 1], s=70, marker="*", color=canvas.COLOURS[1], label="new")
    words = []
    for letter, place, i, away, name in zip(
        ascii_lowercase, places, near, distances.min(axis=1), names[len(known) :], strict=False
    ):
        line = np.stack([place, old[i]])
        axes.plot(*line.T, color=canvas.COLOURS[1], linewidth=0.8, zorder=0)
        axes.annotate(letter, place, (4, 4), textcoords="offset points", fontsize=canvas.SMALL)
        words.append(f"{letter} ({name}) to task {i + 1} ({names[i]}), {away:.2f} away")
    canvas.label_axes(axes, "component 1", "component 2")
    canvas.legend_below(figure, axes)
    axes.margins(0.15)
    apart = np.linalg.norm(known[:, None] - known, axis=2)[np.triu_indices(len(known), 1)]
    text = (
        f"The embeddings of {len(new)} tasks that were not learned, each found from {k} labelled "
        f"samples, among those of the {len(known)} learned, on the first two principal components "
        f"of these; a line joins each to the nearest over all entries: {'; '.join(words)}. Learned "
        f"ones are {apart.mean():.2f} from each other (mean)."
    )
    return Drawn("embeddings-new", "Embeddings of new tasks", text, figure)


@torch.no_grad()
def score(method: Any, task: int, batch: Batch) -> float:
    """Percent of a batch that a task's network answers right; of values, the squared error."""
    found = method.predict(batch.x, task, "task").logits
    if batch.y.is_floating_point():
        return float(F.mse_loss(found, batch.y))
    return 100 * float((found.argmax(dim=1) == batch.y).double().mean())


def few_shot(finished: FinishedSeed) -> list[Drawn]:
    """Draw k-shot curves, and where embeddings from the most samples fall among the learned ones.

    None for benchmarks whose tasks have nothing in common. Raises `ConfigError` as `check_adapts`,
    and `RunError` for weights that are no numbers.
    """
    config = finished.config
    if not BENCHMARKS[config.benchmark].related:
        return []
    encodes = isinstance(getattr(_memory(finished), "condition", None), DataCondition)
    ways: Sequence[How] = get_args(How) if encodes else ("gradient",)
    check_adapts(finished.method, ways[0])
    settings = replace(benchmark_settings(config), tasks=finished.tasks + _UNSEEN)
    tasks = make_tasks(config.benchmark, settings, finished.seed)
    found: dict[str, dict[int, list[float]]] = {}
    ends = []
    for task in tasks[finished.tasks :]:
        asked = evaluation_part(task, train_settings(config))
        scores, last = _adapted(finished, task.train, asked, ways)
        ends.append(last)
        for (way, k), value in scores.items():
            found.setdefault(way, {}).setdefault(k, []).append(value)
    samples = f"at most {_ASKED} {config.data.evaluate_on} samples each"
    drawn = [
        curves(found, measure_of(asked), f"{_UNSEEN} tasks that were not learned, on {samples}")
    ]
    if finished.tasks > 1:
        known = _numbers(_memory(finished).condition(range(finished.tasks)))
        drawn.append(fallen(known, np.stack(ends), [task.name for task in tasks], SAMPLES[-1]))
    return drawn


def _memory(finished: FinishedSeed) -> Any:
    return getattr(finished.method, "memory", None)


def _numbers(x: Tensor) -> Numbers:
    return np.asarray(x.detach().double().numpy())


def _adapted(
    finished: FinishedSeed, train: Part, asked: Part, ways: Sequence[How]
) -> tuple[dict[tuple[str, int], float], Numbers]:
    """Scores of a new task by way and k, and its (E,) embedding of the last; none is left."""
    method: Any = finished.method
    new = finished.tasks
    scores: dict[tuple[str, int], float] = {}
    batch = asked.batch(torch.arange(min(_ASKED, len(asked))))
    order = torch.randperm(len(train), generator=Generators(finished.seed)[f"few/{train.task}"])
    for k in SAMPLES:
        support = train.batch(order[:k])
        losses = method.losses_of(support, range(new))
        if not losses.isfinite().all():
            raise RunError(f"{finished.folder.weights} must give finite answers")
        for way in ways:
            adapt_task(method, support, (), way)
            scores[way, k] = score(method, new, batch)
            embedding = _numbers(method.memory.condition([new])[0]).copy()
            method.remove_task(new)
        scores["nearest", k] = score(method, int(losses.argmin()), batch)
    return scores, embedding
