"""Figures of results: methods side by side, their sizes, what they forget and what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hypermnesia import metrics
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.metrics import Matrix, Summary
from hypermnesia.report import canvas
from hypermnesia.report.canvas import SCALES, Drawn, seed_count
from hypermnesia.training.phases import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 0.8  # of a group of bars
_FEW = 12  # tasks, over which memory says little


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        group: bars of a group are side by side.
        label: bars with the same label share a colour and a place in their group.
        height: mean, and standard error for a whisker; left out without a mean.
        mark: a value to draw as a line across it; NaN for none.
    """

    group: str
    label: str
    height: Summary
    mark: float = math.nan


@dataclass(frozen=True)
class Panel:
    """Bars under a title; groups and labels keep the order of their first bars."""

    title: str
    bars: Sequence[Bar]
    measure: Measure = "accuracy"


def bar_figure(panels: Sequence[Panel], mark: str | None = None) -> Figure:
    """Draw panels, one or more with the same labels, side by side; `mark` names the marks."""
    from matplotlib.figure import Figure  # slow to import

    labels = _distinct(bar.label for panel in panels for bar in panel.bars)
    groups = max(len(_distinct(bar.group for bar in panel.bars)) for panel in panels)
    width = 1.0 + len(panels) * (1.0 + groups * (0.3 + 0.2 * len(labels)))
    figure = Figure(figsize=(max(width, 5.0), 4.5), layout="constrained")
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(every, panels, strict=True):
        _draw(axes, panel.bars, labels, mark)
        axes.set(title=panel.title, ylabel=SCALES[panel.measure].label)
        axes.spines[["top", "right"]].set_visible(False)
    handles, names = every[-1].get_legend_handles_labels()
    columns = min(5, len(names))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)
    return figure


def _draw(axes: Axes, bars: Sequence[Bar], labels: Sequence[str], mark: str | None) -> None:
    groups = _distinct(bar.group for bar in bars)
    width = _WIDTH / len(labels)
    lefts: list[float] = []
    marks: list[float] = []
    axes.set_prop_cycle(color=canvas.COLOURS)
    for index, label in enumerate(labels):
        own = [bar for bar in bars if bar.label == label]
        places = [groups.index(bar.group) + index * width - _WIDTH / 2 for bar in own]
        means = [bar.height.mean for bar in own]
        errors = [bar.height.sem for bar in own]  # NaN, of one seed, draws nothing
        axes.bar(places, means, width, yerr=errors, align="edge", label=label, capsize=2)
        lefts += places
        marks += [bar.mark for bar in own]
    if mark is not None:
        axes.hlines(marks, lefts, [left + width for left in lefts], colors="black", label=mark)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlim(-0.5, len(groups) - 0.5)


@dataclass(frozen=True)
class Point:
    """What a method reached with so many numbers kept; points of a label are joined by a line."""

    panel: str
    label: str
    kept: float
    reached: Summary


def sizes_figure(points: Sequence[Point]) -> Figure | None:
    """Draw accuracy against numbers kept, on a log scale, a panel beside another; None for none."""
    from matplotlib.figure import Figure  # slow to import

    if not points:
        return None
    panels, labels = _distinct(p.panel for p in points), _distinct(p.label for p in points)
    figure = Figure(figsize=(max(4.5, 3.6 * len(panels)), 4.5), layout="constrained")
    every = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(every, panels, strict=True):
        for index, label in enumerate(labels):
            own = [p for p in points if (p.panel, p.label) == (panel, label)]
            own.sort(key=lambda point: point.kept)
            kept, means = [p.kept for p in own], [p.reached.mean for p in own]
            errors = [p.reached.sem for p in own]
            style = canvas.line_style(index, max(1, len(own)))
            axes.errorbar(kept, means, errors, **style, capsize=2, label=label)
        axes.set(title=panel, xscale="log", xlabel="numbers kept", ylabel="accuracy %")
        axes.spines[["top", "right"]].set_visible(False)
    handles, names = every[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)
    return figure


def sizes(points: Sequence[Point]) -> Drawn | None:
    """Draw accuracy against numbers kept of several runs; None without any."""
    figure = sizes_figure(points)
    if figure is None:
        return None
    values = "; ".join(
        f"{p.label} {p.reached.text(2)} in {p.panel} with {p.kept:,.0f}" for p in points
    )
    text = (
        "Accuracy on all tasks after the last one, in percent, against the numbers kept for it "
        f"(learned values, sums, covariances), on a log scale: {values}."
    )
    return Drawn("sizes", "Accuracy against numbers kept", text, figure)


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def side_by_side(bars: Sequence[Bar], measure: Measure = "accuracy") -> Drawn:
    """Draw the measure on all tasks at the end: a group a scenario, a label a run."""
    scale = SCALES[measure]
    values = (
        f"{bar.label} {bar.height.text(scale.digits)} in {bar.group} ({seed_count(bar.height.n)})"
        for bar in bars
        if bar.height.n
    )
    text = (
        f"{scale.words.capitalize()} on all tasks after the last one, mean and standard error over "
        f"seeds: {'; '.join(values)}."
    )
    figure = bar_figure([Panel("", bars, measure)])
    return Drawn("side-by-side", "Methods side by side", text, figure)


def forgetting(
    scenario: ScenarioName,
    matrices: Mapping[str, Sequence[Matrix]],
    measure: Measure = "accuracy",
) -> Drawn | None:
    """Draw a line for each run: how much worse each task is at the end than at its best.

    `matrices` are by label of a run, (T, T) for each seed; None where no run measured it.
    """
    sign = SCALES[measure].sign
    points = {
        label: np.array([metrics.forgetting_by_task(sign * matrix) for matrix in by_seed])
        for label, by_seed in matrices.items()
        if by_seed
    }
    measured = {label: v for label, v in points.items() if not np.isnan(v.mean(axis=0)).all()}
    if not measured:
        return None
    figure, axes = canvas.new_axes()
    for index, label in enumerate(matrices):  # its colour does not depend on what others measured
        if label in measured:
            means, errors = canvas.mean_and_error(measured[label])
            tasks, style = np.arange(1, len(means) + 1), canvas.line_style(index, len(means))
            axes.errorbar(tasks, means, errors, **style, capsize=2, label=label)
    lowest = -0.5 if measure == "accuracy" else 0.0
    axes.set_ylabel("points that it fell" if measure == "accuracy" else "rise of the error")
    axes.set_ylim(bottom=min(lowest, axes.get_ylim()[0]))
    canvas.task_axis(axes.xaxis, "task")
    canvas.legend_below(figure, axes)
    title, text = f"Forgetting, {scenario} scenario", _forgetting_text(measured, measure)
    return Drawn(f"forgetting-{scenario}", title, text, figure)


def _forgetting_text(points: Mapping[str, NDArray[np.float64]], measure: Measure) -> str:
    """Describe the (seeds, T - 1) points of each run."""
    what = f"How far the {SCALES[measure].name} on each task but the last one rose"
    if measure == "accuracy":
        what = "Points in percent by which the accuracy on each task but the last one fell"
    digits, texts = SCALES[measure].digits, []
    for label, values in points.items():
        means = values.mean(axis=0)
        worst = int(np.nanargmax(means))
        over_tasks = metrics.over_seeds(values.mean(axis=1).tolist()).text(digits)
        most = f"at most {means[worst]:.{digits}f} (task {worst + 1})"
        texts.append(f"{label} {over_tasks}, {most}")
    return (
        f"{what}, from its best to the end; 0 is best. Mean over tasks, with the standard error "
        f"over seeds: {'; '.join(texts)}."
    )


def cost(seconds: Mapping[str, Sequence[Sequence[float]]]) -> Drawn:
    """Draw a line for each run: milliseconds per training iteration, task by task.

    `seconds` are by label of a run, for each seed and task, or one value for all tasks at once.
    """
    of_run = {label: 1000 * np.array(each, dtype=np.float64) for label, each in seconds.items()}
    figure, values = _against_tasks(of_run, "milliseconds an iteration")
    text = (
        "Milliseconds that an iteration of training took, task by task, with the standard error "
        f"over seeds; evaluation is left out. {values}."
    )
    return Drawn("cost", "Cost against tasks", text, figure)


def memory(megabytes: Mapping[str, Sequence[Sequence[float]]]) -> Drawn | None:
    """Draw a line for each run: its largest memory up to the end of each task's training.

    `megabytes` are as `seconds` of `cost`; None where no run of more tasks than a few has them.
    """
    of_run = {n: np.array(each) for n, each in megabytes.items() if each and all(map(len, each))}
    if max((each.shape[1] for each in of_run.values()), default=0) <= _FEW:
        return None
    figure, values = _against_tasks(of_run, "MB")
    text = f"Largest memory (MB) of the process up to the end of each task's training: {values}."
    return Drawn("memory", "Memory against tasks", text, figure)


def _against_tasks(by_label: Mapping[str, NDArray[np.float64]], unit: str) -> tuple[Figure, str]:
    """Draw (seeds, tasks) values of each label, or (seeds, 1) of all at once; and say them."""
    figure, axes = canvas.new_axes()
    values = []
    for index, (label, by_seed) in enumerate(by_label.items()):
        means, errors = canvas.mean_and_error(by_seed)
        if len(means) == 1:
            colour = canvas.COLOURS[index % len(canvas.COLOURS)]
            axes.axhline(means[0], linestyle="--", color=colour, label=f"{label}, all at once")
            values.append(f"{label} {means[0]:.3g} for all tasks at once")
            continue
        tasks, style = np.arange(1, len(means) + 1), canvas.line_style(index, len(means))
        axes.errorbar(tasks, means, errors, **style, capsize=2, label=label)
        values.append(f"{label} {means[0]:.3g} on task 1, {means[-1]:.3g} on task {len(means)}")
    axes.set_ylabel(unit)
    axes.set_ylim(bottom=0)
    canvas.task_axis(axes.xaxis, "task")
    canvas.legend_below(figure, axes)
    return figure, "; ".join(values)
