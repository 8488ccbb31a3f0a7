"""A matrix of percentages, task by task, as coloured cells with their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hypermnesia.experiments.figures.sheet import (
    COLOURS,
    INK,
    SMALL,
    WIDTH,
    name_axes,
    sheet,
    type_on,
)
from hypermnesia.metrics import Matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_WITH_DECIMALS, _WITH_VALUES, _TICKS = 5, 12, 10


def cells(percent: Matrix, tasks: Sequence[int], x: str, y: str) -> Figure:
    """The (T, T) `percent` of `tasks` (counted from 0), a row of cells for each.

    Where there are too many to write the values into the cells, a bar tells the colours.
    """
    figure = sheet(WIDTH * 0.95)
    axes = figure.add_subplot()
    image = axes.imshow(percent, cmap=COLOURS, vmin=0, vmax=100)
    name_axes(axes, x, y)
    step = -(-len(tasks) // _TICKS)
    places = range(0, len(tasks), step)
    labels = [str(tasks[place] + 1) for place in places]
    axes.set_xticks(places, labels)
    axes.set_yticks(places, labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(tasks) <= _WITH_VALUES:
        _write(axes, percent)
    else:
        _explain(figure, axes, image)
    return figure


def _write(axes: Axes, percent: Matrix) -> None:
    digits = 1 if len(percent) <= _WITH_DECIMALS else 0
    for row, values in enumerate(percent):
        for column, value in enumerate(values):
            text = axes.text(column, row, f"{value:.{digits}f}", ha="center", va="center")
            text.set(color=type_on(value / 100), fontsize=SMALL)


def _explain(figure: Figure, axes: Axes, image: AxesImage) -> None:
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.set_label("%", fontsize=SMALL, color=INK)
