"""Figures as images inside a page: drawn once, saved for a light page and for a dark one."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hypermnesia.experiments.figures import Drawn

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

INK, PAPER = "#e4e7eb", "#15181d"
"""What black and white are on a dark page."""

_LARGEST_SVG = 80_000  # bytes; what is more complicated becomes pixels
_DPI = 160
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
        kind, content = "png", _saved(figure, format="png", dpi=_DPI)
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
        colours[black, :3], colours[white, :3] = to_rgb(INK), to_rgb(PAPER)
        getattr(artist, f"set_{name}")(colours if np.ndim(colour) == 2 else tuple(colours[0]))
