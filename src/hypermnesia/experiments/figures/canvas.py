"""What figures share: a size for phone and desk, colours that stand out on white and on black."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLOURS = (
    "#2a7de1",
    "#d9630b",
    "#1f9950",
    "#c2479f",
    "#8a6fd8",
    "#93850f",
    "#e04f4f",
    "#1492a8",
    "#a06a3e",
    "#7d858f",
)
"""For lines and bars: each has a contrast of 3.5 or more to white and to a dark page."""

_MARKERS = "osD^vPX*<>"
_MOST_MARKERS = 12
_WIDTH = 4.4  # inches: at this width a phone shows ten-point text as such


def canvas(height: float = 3.2) -> tuple[Figure, Axes]:
    """An empty figure, `height` inches high, and its axes."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def line_style(index: int, points: int) -> dict[str, Any]:
    """Colour and marker of the line number `index`; those who see no colours tell markers apart.

    Of many `points` some have a marker, not the same ones in all lines, and the last one has.
    """
    colour, marker = COLOURS[index % len(COLOURS)], _MARKERS[index % len(_MARKERS)]
    step = max(1, points // _MOST_MARKERS)
    marked = sorted({*range(index % step, points, step), points - 1})
    style = {"color": colour, "marker": marker, "markersize": 4.5, "linewidth": 1.6}
    return {**style, "markevery": marked}


def count_tasks(axis: Axis, label: str) -> None:
    """The axis counts tasks, from 1."""
    from matplotlib.ticker import MaxNLocator

    axis.set_label_text(label)
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def legend_below(figure: Figure, axes: Axes) -> None:
    """The legend of `axes`, under them, where it hides nothing."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=9)


def seeds_told(seeds: int) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{seeds} seed{'s' if seeds != 1 else ''}"


def mean_and_error(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard error over the first axis, of one entry or more, which seeds are.

    The error is 0 of a single seed.
    """
    seeds = len(values)
    errors = values.std(axis=0, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.zeros_like(values[0])
    return values.mean(axis=0), errors
