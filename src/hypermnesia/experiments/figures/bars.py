"""Bars in groups, with whiskers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypermnesia.experiments.figures.canvas import COLOURS
from hypermnesia.experiments.figures.sheet import png
from hypermnesia.metrics import Summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 0.8  # of a group of bars


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        group: where it stands: the bars of a group are side by side.
        label: what it is about; bars of one label share a colour and a place in their group.
        height: its mean, and the standard error for a whisker; without a mean it is left out.
        mark: a value to draw across it; NaN for none.
    """

    group: str
    label: str
    height: Summary
    mark: float = math.nan


@dataclass(frozen=True)
class Panel:
    """Bars under a title, in the order in which groups and labels are to stand."""

    title: str
    bars: Sequence[Bar]


def bar_plot(panels: Sequence[Panel], y_label: str, mark: str | None = None) -> bytes:
    """`bar_figure`, as the bytes of a PNG file."""
    return png(bar_figure(panels, y_label, mark))


def bar_figure(panels: Sequence[Panel], y_label: str, mark: str | None = None) -> Figure:
    """The panels beside each other.

    Args:
        panels: one or more, with the same labels.
        y_label: what the heights are.
        mark: what the marks are.
    """
    # Slow to import; and without pyplot, which keeps figures in a global state.
    from matplotlib.figure import Figure

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
