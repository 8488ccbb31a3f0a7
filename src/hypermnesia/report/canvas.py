"""What figures share: sizes, colours, and images for a light and a dark page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypermnesia.report import Drawn

if TYPE_CHECKING:
    from matplotlib.artist import Artist
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


WIDTH = 3.7
"""Inches: 370 pixels of a phone's 390, where type of 8 points is 11 pixels high."""

INK, PAPER = "#1a1a1a", "#ffffff"
SMALL, MEDIUM = 8, 9

COLOUR_MAP = "viridis"
"""Perceptually uniform, and told apart by the colour-blind and in print without colours."""

_INK_FROM = 0.47  # of the colours, where ink begins to stand out more than paper
_DPI = 200


def sheet(height: float) -> Figure:
    """An empty figure, `height` inches high; white, to be read on a dark page as well."""
    # Slow to import; and without pyplot, which keeps figures in a global state.
    from matplotlib.figure import Figure

    return Figure(figsize=(WIDTH, height), layout="constrained", facecolor=PAPER)


def name_axes(axes: Axes, x: str, y: str) -> None:
    """Name the axes, in the type of a sheet."""
    axes.set_xlabel(x, fontsize=MEDIUM, color=INK)
    axes.set_ylabel(y, fontsize=MEDIUM, color=INK)
    axes.tick_params(labelsize=SMALL, colors=INK)


def type_on(shade: float) -> str:
    """The colour of type that can be read on a shade, 0 to 1, of `COLOUR_MAP`."""
    return INK if shade >= _INK_FROM else PAPER


def png(figure: Figure) -> bytes:
    """The figure as a PNG file, fine enough for a screen of two pixels a point."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI)
    return content.getvalue()


DARK_INK, DARK_PAPER = "#e4e7eb", "#15181d"
"""What black and white are on a dark page."""

_LARGEST_SVG = 80_000  # bytes; what is more complicated becomes pixels
_PAGE_DPI = 160
_CSS_INCH = 96
_COLOURS = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


@dataclass(frozen=True)
class Picture:
    """A figure on a page.

    Attributes:
        anchor: its name, once on the page.
        title: a few words.
        text: what it shows.
        light: data URI of the image for a light page.
        dark: data URI of the image for a dark page.
        width: in CSS pixels.
        height: likewise.
    """

    anchor: str
    title: str
    text: str
    light: str
    dark: str
    width: int
    height: int


def picture(drawn: Drawn, anchor: str) -> Picture:
    """The figure `drawn`, which is in dark colours afterwards."""
    figure = drawn.figure
    width, height = (round(inches * _CSS_INCH) for inches in figure.get_size_inches())
    light = _data_uri(figure)
    figure.set_layout_engine("none")  # where everything is now
    _darken(figure)
    return Picture(anchor, drawn.title, drawn.text, light, _data_uri(figure), width, height)


def _data_uri(figure: Figure) -> str:
    import matplotlib as mpl

    # Letters stay letters, in the reader's own font: a fifth of the size of their outlines.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hypermnesia"}):
        kind, content = "svg+xml", _saved(figure, format="svg", metadata={"Date": None})
    if len(content) > _LARGEST_SVG:
        kind, content = "png", _saved(figure, format="png", dpi=_PAGE_DPI)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _saved(figure: Figure, **how: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, transparent=True, **how)
    return content.getvalue()


def _darken(figure: Figure) -> None:
    """Swap black and white wherever they are drawn on the page, not on the cells of an image."""
    for artist in _on_page(figure):
        for name in _COLOURS:
            colour = getattr(artist, f"get_{name}", lambda: None)()
            if colour is not None:
                _swap(artist, name, colour)


def _on_page(figure: Figure) -> Iterator[Artist]:
    from matplotlib.collections import QuadMesh

    on_cells: set[Artist] = set()
    for axes in figure.axes:
        if axes.images or any(isinstance(each, QuadMesh) for each in axes.collections):
            on_cells.update(axes.texts)
    # A collection whose colours stand for values has no black to swap.
    return (
        artist
        for artist in figure.findobj()
        if artist not in on_cells and getattr(artist, "get_array", lambda: None)() is None
    )


def _swap(artist: Artist, name: str, colour: Any) -> None:
    from matplotlib.colors import to_rgb, to_rgba_array

    colours = to_rgba_array(colour)
    black, white = (colours[:, :3] < 0.1).all(axis=1), (colours[:, :3] > 0.97).all(axis=1)
    if black.any() or white.any():
        colours[black, :3], colours[white, :3] = to_rgb(DARK_INK), to_rgb(DARK_PAPER)
        getattr(artist, f"set_{name}")(colours if np.ndim(colour) == 2 else tuple(colours[0]))
