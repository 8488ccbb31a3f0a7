"""Figures of results: methods side by side, forgetting, cost, and matrices of tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypermnesia import metrics
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.metrics import Counts, Matrix, Summary
from hypermnesia.report import canvas
from hypermnesia.report.canvas import SCALES, Drawn, Scale, seed_count
from hypermnesia.training.logs import spread_out
from hypermnesia.training.phases import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 0.8  # of a group of bars
_WITH_DECIMALS, _WITH_VALUES, _TICKS = 5, 12, 10  # tasks of a matrix, and labels on its axes
_MOST_NUMBERS = 10  # tasks whose cells have room for a number
_MOST_LINES = 8


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
    if max((each.shape[1] for each in of_run.values()), default=0) <= _WITH_VALUES:
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


def _whole_rows(matrix: Matrix) -> NDArray[np.intp]:
    """Return the rows of R in which every task seen was evaluated."""
    seen = np.tri(len(matrix), dtype=bool)
    return np.flatnonzero(~(np.isnan(matrix) & seen).any(axis=1))


def _top(matrix: Matrix, scale: Scale) -> float:
    """Return the value with the brightest colour."""
    return scale.top or float(np.nanmax(matrix)) or 1.0


def _cells(matrix: Matrix, tasks: Sequence[int], x: str, y: str, measure: Measure) -> Figure:
    """Draw a (T, T) matrix, by task number from 0.

    Cells hold their values or, where there are too many, a colour bar explains the colours.
    """
    top = _top(matrix, SCALES[measure])
    figure, axes = canvas.new_axes(canvas.NARROW * 0.95, canvas.NARROW)
    image = axes.imshow(matrix, cmap=canvas.COLOUR_MAP, vmin=0, vmax=top)
    canvas.label_axes(axes, x, y)
    places = range(0, len(tasks), -(-len(tasks) // _TICKS))
    labels = [str(tasks[place] + 1) for place in places]
    axes.set_xticks(places, labels)
    axes.set_yticks(places, labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(tasks) <= _WITH_VALUES:
        digits = (1 if len(tasks) <= _WITH_DECIMALS else 0) + (measure == "mse")
        for (row, column), value in np.ndenumerate(matrix):
            canvas.write_on(axes.text(column, row, f"{value:.{digits}f}"), value / top)
    else:
        bar = figure.colorbar(image, ax=axes, shrink=0.8)
        bar.ax.tick_params(labelsize=canvas.SMALL)
        bar.set_label(
            "%" if measure == "accuracy" else SCALES[measure].label, fontsize=canvas.SMALL
        )
    return figure


def accuracy_matrix(
    scenario: ScenarioName, matrix: Matrix, seeds: int, measure: Measure = "accuracy"
) -> Drawn:
    """Draw (T, T) R, a mean over seeds, as a heat map; accuracies from 0 to 100 %, to compare."""
    scale, tasks = SCALES[measure], len(matrix)
    top = _top(matrix, scale)
    figure, axes = canvas.new_axes(height=3.6)
    # Where not all tasks were evaluated after each, of the rows only those in which they were.
    rows = np.arange(tasks) if len(whole := _whole_rows(matrix)) < 2 else whole
    shown = matrix[rows]
    edges = (0.5, tasks + 0.5, len(rows) + 0.5, 0.5)
    look: dict[str, Any] = {"interpolation": "none", "aspect": tasks / len(rows)}
    image = axes.imshow(shown, vmin=0, vmax=top, extent=edges, **look)
    canvas.task_axis(axes.xaxis, f"{scale.name} on task")
    canvas.task_axis(axes.yaxis, "after learning task")
    if len(rows) < tasks:
        places = spread_out(len(rows), _TICKS)
        axes.set_yticks([place + 1 for place in places], [str(rows[place] + 1) for place in places])
    for (row, column), value in np.ndenumerate(shown):
        if tasks <= _MOST_NUMBERS and not math.isnan(value):
            canvas.write_on(axes.text(column + 1, row + 1, f"{value:.3g}"), value / top)
    figure.colorbar(image, ax=axes, label=scale.label, fraction=0.046)
    last = matrix[-1]
    low, high = int(last.argmin()), int(last.argmax())
    some = "" if len(rows) == tasks else " after which all seen were evaluated"
    text = (
        f"A row for each task learned{some}, a column for each task evaluated, {scale.words}, mean "
        f"of {seed_count(seeds)}. After the last of {tasks} tasks it is "
        f"{scale.text(metrics.acc(matrix))} on average: from {scale.text(last[low])} on task "
        f"{low + 1} to {scale.text(last[high])} on task {high + 1}."
    )
    title = f"{scale.name.capitalize()} matrix, {scenario} scenario"
    return Drawn(f"{_slug(scale)}-matrix-{scenario}", title, text, figure)


def _slug(scale: Scale) -> str:
    return scale.name.replace(" ", "-")


def accuracy_over_time(
    scenario: ScenarioName, matrix: Matrix, seeds: int, measure: Measure = "accuracy"
) -> Drawn | None:
    """Draw (T, T) R, a line for each task and one for their mean; None if measured only once."""
    if (~np.isnan(matrix)).any(axis=1).sum() < 2:
        return None
    scale, tasks = SCALES[measure], len(matrix)
    figure, axes = canvas.new_axes()
    learned, shown = np.arange(1, tasks + 1), spread_out(tasks, _MOST_LINES)
    for index, task in enumerate(shown):
        known = ~np.isnan(matrix[:, task])
        style = canvas.line_style(index, int(known.sum()))
        axes.plot(learned[known], matrix[known, task], **style, label=f"task {task + 1}")
    whole = _whole_rows(matrix)
    mean = [float(matrix[row, : row + 1].mean()) for row in whole]
    axes.plot(whole + 1, mean, "--", color="black", linewidth=1.4, label="mean of all seen")
    if len(whole) < tasks:
        style = {"color": "black", "linewidth": 0.6, "label": "each when learned"}
        axes.plot(learned, np.diagonal(matrix), **style)
    axes.set_ylabel(scale.label)
    if scale.top is None:
        axes.set_ylim(bottom=0)
    else:
        axes.set_ylim(10 * min(9, math.floor(np.nanmin(matrix) / 10)) - 1, scale.top + 1)
    canvas.task_axis(axes.xaxis, "tasks learned")
    canvas.legend_below(figure, axes)
    title = f"{scale.name.capitalize()} of each task over time, {scenario} scenario"
    text = _over_time_text(matrix, mean, shown, seeds, scale)
    return Drawn(f"{_slug(scale)}-over-time-{scenario}", title, text, figure)


def _over_time_text(
    matrix: Matrix, mean: Sequence[float], shown: Sequence[int], seeds: int, scale: Scale
) -> str:
    some = "" if len(shown) == len(matrix) else f" for {len(shown)} of the {len(matrix)} tasks"
    lines = "; ".join(
        f"task {task + 1} {scale.text(matrix[task, task])} when learned and "
        f"{scale.text(matrix[-1, task])} at the end"
        for task in shown
    )
    return (
        f"{scale.words.capitalize()} after each task learned, a line for each task{some}, mean of "
        f"{seed_count(seeds)}: {lines}. The mean over all tasks seen goes from "
        f"{scale.text(mean[0])} to {scale.text(mean[-1])}."
    )


def task_confusion(counts: Counts, scenarios: Sequence[str], samples: str = "test") -> Drawn:
    """Draw (T, T) numbers of samples of task j that were assigned to task k, in `scenarios`."""
    percent = 100.0 * counts / counts.sum(axis=1, keepdims=True)
    where = " and ".join(scenarios) + (" scenarios" if len(scenarios) > 1 else " scenario")
    own = np.diagonal(percent)
    worst = int(own.argmin())
    text = (
        f"Percent of the samples of each task (rows) that were answered with the network of each "
        f"task (columns), after the last task; {int(counts.sum())} {samples} samples, {where}. "
        f"With their own task: {own.mean():.2f} % (mean of the tasks), least in task "
        f"{worst + 1}, {own[worst]:.2f} %."
    )
    wrong = percent - np.diag(own)
    if wrong.any():
        j, k = np.unravel_index(wrong.argmax(), wrong.shape)
        text += f" The most frequent mistake: task {j + 1} for {k + 1}, {wrong[j, k]:.2f} %."
    figure = _cells(percent, range(len(counts)), "answered with task", "own task", "accuracy")
    name = "-".join(("task-confusion", *scenarios))
    return Drawn(name, f"Task confusion ({where})", text, figure)


def reliability(scenario: ScenarioName, bins: NDArray[np.float64]) -> Drawn:
    """Draw the accuracy of answers against their confidence, of `metrics.reliability_bins`."""
    samples = bins[:, 0]
    used = samples > 0
    sure, right = (100 * bins[used, column] / samples[used] for column in (1, 2))
    figure, axes = canvas.new_axes(canvas.NARROW, canvas.NARROW)
    axes.plot([0, 100], [0, 100], "--", color="black", linewidth=1)
    sizes = 12 + 150 * samples[used] / samples.sum()
    axes.scatter(sure, right, s=sizes, color=canvas.COLOURS[0])
    axes.plot(sure, right, color=canvas.COLOURS[0], linewidth=1)
    canvas.label_axes(axes, "confidence %", "accuracy %")
    distance, most = 100 * metrics.calibration_error(bins), int(samples[used].argmax())
    text = (
        f"Accuracy of the answers against the probability that was given to them, in "
        f"{len(bins)} bins of equal width (a larger point has more samples); on the dashed line "
        f"both agree. Over {int(samples.sum())} samples they are {distance:.2f} points apart on "
        f"average (ECE). Most samples, {int(samples[used][most])}, have a confidence around "
        f"{sure[most]:.1f} % and an accuracy of {right[most]:.1f} %."
    )
    return Drawn(f"reliability-{scenario}", f"Calibration, {scenario} scenario", text, figure)


def embedding_transfer(
    matrix: Matrix, tasks: Sequence[int], chance: float | None, samples: str = "test"
) -> Drawn:
    """Draw the (n, n) measures of the i-th embedding on the j-th task; n >= 2.

    Args:
        matrix: percent or, in regression, mean squared errors.
        tasks: their numbers, from 0.
        chance: percent of guessing; None in regression.
        samples: test or validation.
    """
    measure: Measure = "mse" if chance is None else "accuracy"
    scale, unit = SCALES[measure], "" if chance is None else " %"
    own = scale.text(np.diagonal(matrix).mean())
    earlier = scale.text(matrix[np.tril_indices(len(matrix), -1)].mean())
    later = scale.text(matrix[np.triu_indices(len(matrix), 1)].mean())
    among = "" if chance is None else ", among the classes of one task"
    guessing = "" if chance is None else f"; guessing gives {chance:.2f} %"
    text = (
        f"{scale.words.capitalize()} of each task's embedding (rows) on each task (columns){among};"
        f" {samples} samples, after the last task; tasks "
        f"{', '.join(str(task + 1) for task in tasks)}. An embedding has {own}{unit} on its own "
        f"task (mean), {earlier}{unit} on tasks that were learned before it (below the diagonal) "
        f"and {later}{unit} on later ones{guessing}."
    )
    figure = _cells(matrix, tasks, "task", "embedding of task", measure)
    return Drawn("embedding-transfer", "Embedding transfer", text, figure)
