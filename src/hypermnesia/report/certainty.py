"""Figures of how sure a finished seed is: calibration, rejection, spread over drawn networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from hypermnesia import metrics
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.stream import each_once
from hypermnesia.data.types import Part
from hypermnesia.errors import ConfigError, RunError
from hypermnesia.experiments.finished import FinishedSeed
from hypermnesia.hypernet.noise import DrawnTasks
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.report import canvas
from hypermnesia.report.canvas import Drawn
from hypermnesia.report.matrices import reliability
from hypermnesia.training.evaluation import evaluate, measure_of
from hypermnesia.training.logs import spread_out

Numbers = NDArray[np.float64]

_POINTS = 101  # of the curve


@torch.no_grad()
def confidence_and_right(
    method: HypernetMethod, parts: Sequence[Part], scenario: ScenarioName
) -> tuple[Numbers, Numbers]:
    """(n,) probabilities of the answers to all samples, and whether each is right, 1 or 0."""
    sure, right, layout = [], [], method.scenario.named(scenario)
    for batch in each_once(parts, 1000):
        given = int(batch.task[0]) if scenario == "task" else None
        logits = method.predict(batch.x, given, scenario).logits.double()
        probability, answers = logits.softmax(dim=-1).max(dim=-1)
        sure.append(probability)
        right.append(answers == layout.labels(batch.y, batch.task))
    return torch.cat(sure).numpy(), torch.cat(right).double().numpy()


def rejection(
    scenario: ScenarioName, sure: Numbers, right: Numbers, samples: str = "test"
) -> Drawn:
    """Draw the accuracy of the surest answers against their share, of (n,) of all answers."""
    order = np.argsort(-sure, kind="stable")
    counts = np.unique(np.linspace(1, len(sure), _POINTS).round().astype(np.int64))
    accuracy = 100 * np.cumsum(right[order])[counts - 1] / counts
    share = 100 * counts / len(sure)
    figure, axes = canvas.new_axes(canvas.NARROW, canvas.NARROW)
    axes.plot(share, accuracy, color=canvas.COLOURS[0], linewidth=1.6)
    canvas.label_axes(axes, "answered % (the surest)", "accuracy %")
    half = int(np.searchsorted(share, 50.0))
    ranked = metrics.auroc(sure[right == 1], sure[right == 0])
    text = (
        f"Accuracy of the answers that remain where the least sure are left out, of {len(sure)} "
        f"{samples} samples: {accuracy[-1]:.2f} % of all, {accuracy[half]:.2f} % of the surest "
        f"half. A right answer is surer than a wrong one: probability {ranked:.3f} (AUROC)."
    )
    return Drawn(f"rejection-{scenario}", f"Rejection, {scenario} scenario", text, figure)


def spread_over_draws(each: Numbers, together: Numbers, tasks: Sequence[int]) -> Drawn:
    """Draw (tasks, K) percent of drawn networks on tasks, and (tasks,) of their mean prediction."""
    figure, axes = canvas.new_axes()
    places = np.arange(len(tasks))
    for drawn in each.T:
        axes.plot(places, drawn, "o", color=canvas.COLOURS[0], markersize=3, alpha=0.5)
    axes.plot(places, together, "_", color=canvas.COLOURS[1], markersize=14, markeredgewidth=2)
    axes.set_xticks(places, [str(task + 1) for task in tasks])
    canvas.label_axes(axes, "task", "accuracy %")
    text = (
        f"Accuracy of each of the {each.shape[1]} networks that are drawn of a task (points), the "
        f"task given, and of their mean prediction (lines). The mean of the tasks is "
        f"{each.mean():.2f} % for one network and {together.mean():.2f} % for the mean prediction; "
        f"networks of a task differ by {each.std(axis=1).mean():.2f} points (standard deviation)."
    )
    return Drawn("spread-over-draws", "Spread over drawn networks", text, figure)


def certainty(finished: FinishedSeed) -> list[Drawn]:
    """Draw calibration and rejection, in the widest scenario, and the spread of drawn networks.

    Raises `ConfigError` for methods that are told the task, and values; `RunError` for weights
    that are no numbers.
    """
    method = finished.method
    if not isinstance(method, HypernetMethod) or method.answers == ("task",):
        rule = "calibration is drawn of hypernetworks that infer the task"
        raise ConfigError(rule, got=finished.config.method)
    parts, scenario = _classified(finished), method.answers[-1]
    sure, right = confidence_and_right(method, parts, scenario)
    if not np.isfinite(sure).all():
        raise RunError(f"{finished.folder.weights} must give finite answers")
    bins = metrics.reliability_bins(sure, right)
    samples = finished.config.data.evaluate_on
    drawn = [reliability(scenario, bins), rejection(scenario, sure, right, samples)]
    if isinstance(networks := method.all_tasks, DrawnTasks):
        drawn.append(_spread(method, networks, parts))
    return drawn


@torch.no_grad()
def _spread(method: HypernetMethod, networks: DrawnTasks, parts: Sequence[Part]) -> Drawn:
    each, together, chosen = [], [], spread_out(len(parts))
    for part in (parts[task] for task in chosen):
        right = torch.zeros(networks.memory.draws, dtype=torch.float64)
        for batch in each_once([part], 1000):
            answers = networks.each(batch.x)[part.task].argmax(dim=-1)
            right += (answers == batch.y[:, None]).sum(dim=0)
        each.append(100 * right.numpy() / len(part))
        together.append(evaluate(method, part, "task").accuracy)
    return spread_over_draws(np.array(each), np.array(together), chosen)


def _classified(finished: FinishedSeed) -> Sequence[Part]:
    parts = finished.parts()
    if measure_of(parts[0]) != "accuracy":
        raise ConfigError("confidence is that of classes", got="values")
    return parts
