"""What figures share: a white sheet as wide as a phone, and its bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 3.7
"""Inches: 370 pixels of a phone's 390, where type of 8 points is 11 pixels high."""

INK, PAPER = "#1a1a1a", "#ffffff"
SMALL, MEDIUM = 8, 9

COLOURS = "viridis"
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
    """The colour of type that can be read on a shade, 0 to 1, of `COLOURS`."""
    return INK if shade >= _INK_FROM else PAPER


def png(figure: Figure) -> bytes:
    """The figure as a PNG file, fine enough for a screen of two pixels a point."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=_DPI)
    return content.getvalue()
