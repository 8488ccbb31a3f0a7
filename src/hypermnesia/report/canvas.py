"""The common style of figures, and their images for light and dark pages."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypermnesia.training.phases import Measure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# fmt: off
COLOURS = ("#2a7de1", "#d9630b", "#1f9950", "#c2479f", "#8a6fd8",
           "#93850f", "#e04f4f", "#1492a8", "#a06a3e", "#7d858f")
# fmt: on
"""For lines and bars: each has a contrast of 3.5 or more to white and to a dark page."""

COLOUR_MAP = "viridis"
"""Perceptually uniform, and readable for the colour-blind and in black-and-white print."""

WIDTH, NARROW = 4.4, 3.7
"""Inches: of a plot, and of a matrix or images, whose smaller type a phone shows in full size."""

INK, PAPER = "#000000", "#ffffff"
DARK_INK, DARK_PAPER = "#e4e7eb", "#15181d"
"""Colours of text and background on a light page and on a dark one."""

SMALL, MEDIUM = 8, 9
"""Points."""

_MARKERS = "osD^vPX*<>"
_MOST_MARKERS = 12
_INK_FROM = 0.45  # of the colour map, where black has more contrast than white
_DPI, _PAGE_DPI, _CSS_INCH = 200, 160, 96
_LARGEST_SVG = 80_000  # bytes; a larger figure becomes a PNG
_COLOURS = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")
_FIXED = "_fixed"  # label of text whose colour stands out from what is under it


@dataclass(frozen=True)
class Drawn:
    """A figure and its description.

    Attributes:
        name: of its file, and its anchor on a page: letters, digits and hyphens.
        title: a few words.
        text: what it shows, with its main values, for readers who cannot see it.
        figure: made without pyplot, which keeps figures in a global state.
    """

    name: str
    title: str
    text: str
    figure: Figure


@dataclass(frozen=True)
class Scale:
    """How the values of a measure are named and written.

    Attributes:
        name: of the measure.
        label: of an axis.
        words: the measure in a sentence.
        digits: after the decimal point.
        sign: 1 if the greatest value is best, -1 if the least is.
        top: the greatest value that there can be; None for no bound.
    """

    name: str
    label: str
    words: str
    digits: int
    sign: float
    top: float | None

    def text(self, value: float) -> str:
        """Format a value."""
        return f"{value:.{self.digits}f}"


_ERROR = "mean squared error"
SCALES: dict[Measure, Scale] = {
    "accuracy": Scale("accuracy", "accuracy %", "accuracy in percent", 2, 1.0, 100.0),
    "mse": Scale(_ERROR, _ERROR, _ERROR, 4, -1.0, None),
}


def new_axes(height: float = 3.2, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Create an empty figure of `width` x `height` inches and its axes, without pyplot."""
    from matplotlib.figure import Figure  # slow to import

    figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def line_style(index: int, points: int) -> dict[str, Any]:
    """Return colour and marker of line number `index`, distinct without colours too.

    Of many `points`, only some get a marker, different ones in each line, and the last one.
    """
    again, place = divmod(index, len(COLOURS))  # where colours come again, markers do not
    colour, marker = COLOURS[place], _MARKERS[(place + again) % len(_MARKERS)]
    step = max(1, points // _MOST_MARKERS)
    marked = sorted({*range(index % step, points, step), points - 1})
    shape = {"marker": marker, "markersize": 4.5, "markevery": marked}
    return {"color": colour, "linewidth": 1.6, **shape}


def task_axis(axis: Axis, label: str) -> None:
    """Label an axis that counts tasks from 1, with ticks at integers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_label_text(label)
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Label the axes of a narrow figure, in small type."""
    axes.set_xlabel(x, fontsize=MEDIUM)
    axes.set_ylabel(y, fontsize=MEDIUM)
    axes.tick_params(labelsize=SMALL)


def legend_below(figure: Figure, axes: Axes) -> None:
    """Put the legend of `axes` below them, where it hides nothing."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=9)


def write_on(text: Text, shade: float) -> None:
    """Centre `text` and make it stand out from a shade, 0 to 1, of `COLOUR_MAP` on any page."""
    text.set(color=text_colour(shade), fontsize=SMALL, ha="center", va="center", label=_FIXED)


def text_colour(shade: float) -> str:
    """Return the colour of text on a shade, 0 to 1, of `COLOUR_MAP`."""
    return INK if shade >= _INK_FROM else PAPER


def seed_count(seeds: int) -> str:
    """Return `1 seed`, `2 seeds`."""
    return f"{seeds} seed{'s' if seeds != 1 else ''}"


def mean_and_error(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard error over seeds, the first axis; the error of one seed is 0."""
    seeds = len(values)
    errors = values.std(axis=0, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.zeros_like(values[0])
    return values.mean(axis=0), errors


def png(figure: Figure) -> bytes:
    """Render the figure as a PNG file for screens with two pixels a point."""
    return _saved(figure, dpi=_DPI, transparent=False)


@dataclass(frozen=True)
class Picture:
    """A figure on a page.

    Attributes:
        anchor: its unique name on the page.
        title: a few words.
        text: description of what it shows.
        light: data URI of the image for a light page; `dark` for a dark page.
        width: in CSS pixels, as `height`.
    """

    anchor: str
    title: str
    text: str
    light: str
    dark: str
    width: int
    height: int


def picture(drawn: Drawn, anchor: str) -> Picture:
    """Render the figure `drawn` for both kinds of page; it keeps the dark colours."""
    figure = drawn.figure
    width, height = (round(inches * _CSS_INCH) for inches in figure.get_size_inches())
    light = _data_uri(figure)
    figure.set_layout_engine("none")  # everything stays where it is
    _darken(figure)
    return Picture(anchor, drawn.title, drawn.text, light, _data_uri(figure), width, height)


def _data_uri(figure: Figure) -> str:
    import matplotlib as mpl

    # Text stays text, in the reader's own font: a fifth of the size of outlines.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hypermnesia"}):
        kind, content = "svg+xml", _saved(figure, format="svg", metadata={"Date": None})
    if len(content) > _LARGEST_SVG:
        kind, content = "png", _saved(figure, format="png", dpi=_PAGE_DPI)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _saved(figure: Figure, *, transparent: bool = True, **options: Any) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, transparent=transparent, **options)
    return content.getvalue()


def _darken(figure: Figure) -> None:
    """Swap black and white, except in text on colours and where colours stand for values."""
    for artist in figure.findobj():
        is_data = getattr(artist, "get_array", lambda: None)() is not None
        if is_data or artist.get_label() == _FIXED:
            continue
        for name in _COLOURS:
            colour = getattr(artist, f"get_{name}", lambda: None)()
            if colour is not None:
                _swap(artist, name, colour)


def _swap(artist: Artist, name: str, colour: Any) -> None:
    from matplotlib.colors import to_rgb, to_rgba_array

    colours = to_rgba_array(colour)
    black, white = (colours[:, :3] < 0.1).all(axis=1), (colours[:, :3] > 0.97).all(axis=1)
    if black.any() or white.any():
        colours[black, :3], colours[white, :3] = to_rgb(DARK_INK), to_rgb(DARK_PAPER)
        getattr(artist, f"set_{name}")(colours if np.ndim(colour) == 2 else tuple(colours[0]))
