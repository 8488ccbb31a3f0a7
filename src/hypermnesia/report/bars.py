"""Figures that compare methods: accuracy, forgetting, cost."""

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
from hypermnesia.report import Drawn
from hypermnesia.report.canvas import (
    COLOURS,
    legend_below,
    line_style,
    mean_and_error,
    new_axes,
    seed_count,
    task_axis,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_WIDTH = 0.8  # of a group of bars


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


def bar_figure(panels: Sequence[Panel], y_label: str, mark: str | None = None) -> Figure:
    """Draw panels side by side.

    Args:
        panels: one or more, with the same labels.
        y_label: what the heights are.
        mark: what the marks are.
    """
    from matplotlib.figure import Figure  # slow to import

    labels = _distinct(bar.label for panel in panels for bar in panel.bars)
    groups = max(len(_distinct(bar.group for bar in panel.bars)) for panel in panels)
    width = 1.0 + len(panels) * (1.0 + groups * (0.3 + 0.2 * len(labels)))
    figure = Figure(figsize=(max(width, 5.0), 4.5), layout="constrained")
    axes: Axes | None = None
    for position, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), position)
        _draw(axes, panel.bars, labels, mark)
        axes.set(title=panel.title, ylabel=y_label)
        axes.spines[["top", "right"]].set_visible(False)
    if axes is not None:
        handles, names = axes.get_legend_handles_labels()
        figure.legend(
            handles, names, loc="outside lower center", ncols=min(5, len(names)), frameon=False
        )
    return figure


def _draw(axes: Axes, bars: Sequence[Bar], labels: Sequence[str], mark: str | None) -> None:
    groups = _distinct(bar.group for bar in bars)
    width = _WIDTH / len(labels)
    marks: list[tuple[float, float]] = []
    axes.set_prop_cycle(color=COLOURS)
    for index, label in enumerate(labels):
        own = [bar for bar in bars if bar.label == label]
        left = index * width - _WIDTH / 2
        places = [groups.index(bar.group) + left for bar in own]
        means = [bar.height.mean for bar in own]
        errors = [bar.height.sem for bar in own]  # NaN, of one seed, draws nothing
        axes.bar(places, means, width, yerr=errors, align="edge", label=label, capsize=2)
        marks += [(place, b.mark) for place, b in zip(places, own, strict=True)]
    if mark is not None:
        lefts, values = zip(*marks, strict=True)
        rights = [left + width for left in lefts]
        axes.hlines(values, lefts, rights, colors="black", label=mark)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlim(-0.5, len(groups) - 0.5)


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def side_by_side(bars: Sequence[Bar]) -> Drawn:
    """Draw accuracy on all tasks at the end, with whiskers of one standard error.

    Args:
        bars: a group for each scenario, a label for each run; at least one with a mean.
    """
    values = (
        f"{bar.label} {bar.height.text()} in {bar.group} ({seed_count(bar.height.n)})"
        for bar in bars
        if bar.height.n
    )
    text = (
        "Accuracy in percent on all tasks after the last one, mean and standard error over seeds: "
        f"{'; '.join(values)}."
    )
    figure = bar_figure([Panel("", bars)], "accuracy %")
    return Drawn("side-by-side", "Methods side by side", text, figure)


def forgetting(scenario: ScenarioName, matrices: Mapping[str, Sequence[Matrix]]) -> Drawn | None:
    """Draw a line for each run: by how many points each task fell from its best to the end.

    Args:
        scenario: in which accuracies were measured.
        matrices: by label of a run, (T, T) percent for each seed; empty for a run without this
            scenario.

    Returns:
        None where no run measured it.
    """
    points = {
        label: np.array([metrics.forgetting_by_task(matrix) for matrix in by_seed])
        for label, by_seed in matrices.items()
        if by_seed
    }
    measured = {label: v for label, v in points.items() if not np.isnan(v.mean(axis=0)).all()}
    if not measured:
        return None
    figure, axes = new_axes()
    for index, label in enumerate(matrices):  # its colour does not depend on what others measured
        if label in measured:
            means, errors = mean_and_error(measured[label])
            tasks, style = np.arange(1, len(means) + 1), line_style(index, len(means))
            axes.errorbar(tasks, means, errors, **style, capsize=2, label=label)
    axes.set_ylabel("points that it fell")
    axes.set_ylim(bottom=min(-0.5, axes.get_ylim()[0]))
    task_axis(axes.xaxis, "task")
    legend_below(figure, axes)
    title = f"Forgetting, {scenario} scenario"
    return Drawn(f"forgetting-{scenario}", title, _forgetting_text(measured), figure)


def _forgetting_text(points: Mapping[str, NDArray[np.float64]]) -> str:
    return (
        "Points in percent by which the accuracy on each task but the last one fell, from its best "
        "to the end; 0 is best. Mean over tasks, with the standard error over seeds: "
        + "; ".join(f"{label} {_mean_and_worst(values)}" for label, values in points.items())
        + "."
    )


def _mean_and_worst(values: NDArray[np.float64]) -> str:
    means = values.mean(axis=0)
    worst = int(np.nanargmax(means))
    over_tasks = metrics.over_seeds(values.mean(axis=1).tolist()).text()
    return f"{over_tasks}, at most {means[worst]:.2f} (task {worst + 1})"


def cost(seconds: Mapping[str, Sequence[Sequence[float]]]) -> Drawn:
    """Draw a line for each run: milliseconds per training iteration, task by task.

    Args:
        seconds: by label of a run, for each seed, the seconds per iteration of each task, or a
            single value where all tasks were trained at once.
    """
    figure, axes = new_axes()
    values = []
    for index, (label, by_seed) in enumerate(seconds.items()):
        means, errors = mean_and_error(1000 * np.array(by_seed, dtype=np.float64))
        if len(means) == 1:
            colour = COLOURS[index % len(COLOURS)]
            axes.axhline(means[0], linestyle="--", color=colour, label=f"{label}, all at once")
            values.append(f"{label} {means[0]:.3g} for all tasks at once")
            continue
        tasks, style = np.arange(1, len(means) + 1), line_style(index, len(means))
        axes.errorbar(tasks, means, errors, **style, capsize=2, label=label)
        values.append(f"{label} {means[0]:.3g} on task 1, {means[-1]:.3g} on task {len(means)}")
    axes.set_ylabel("milliseconds an iteration")
    axes.set_ylim(bottom=0)
    task_axis(axes.xaxis, "task")
    legend_below(figure, axes)
    text = (
        "Milliseconds that an iteration of training took, task by task, with the standard error "
        f"over seeds; evaluation is left out. {'; '.join(values)}."
    )
    return Drawn("cost", "Cost against tasks", text, figure)
