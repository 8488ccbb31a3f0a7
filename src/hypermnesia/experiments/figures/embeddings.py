"""Task embeddings in two dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hypermnesia.experiments.figures import Drawn
from hypermnesia.experiments.figures.sheet import (
    COLOURS,
    INK,
    SMALL,
    WIDTH,
    name_axes,
    sheet,
    type_on,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = NDArray[np.float64]

_BRIGHTEST = 0.8  # of the colours, that still shows on white
_NUMBERED = 20  # points with room for a number in each


def principal_plane(embeddings: Points) -> tuple[Points, Points]:
    """(T, 2) coordinates on the first two principal components, and their shares of the variance.

    A component points to where its largest entry is positive. Shares are 0 if nothing varies.

    Args:
        embeddings: (T, E), T of 2 or more.
    """
    centred = embeddings - embeddings.mean(axis=0)
    if centred.shape[1] == 1:
        centred = np.pad(centred, ((0, 0), (0, 1)))
    _, sizes, components = np.linalg.svd(centred, full_matrices=False)
    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(len(components)), largest])
    places = centred @ (components * signs[:, None])[:2].T
    variances = sizes**2
    return places, variances[:2] / (variances.sum() or 1.0)


def embedding_map(embeddings: Points, kind: str) -> Drawn:
    """A map of the task embeddings of a hypernetwork.

    Args:
        embeddings: (T, E), T of 2 or more.
        kind: what it makes: `classifiers` or `autoencoders`.
    """
    places, shares = principal_plane(embeddings)
    first, second = 100 * shares
    text = (
        f"The {len(embeddings)} task embeddings ({embeddings.shape[1]} entries each) of the "
        f"hypernetwork that makes the {kind}, on their first two principal components, which hold "
        f"{first:.1f} % and {second:.1f} % of the variance; a line joins them in the order of "
        f"learning, the first is the darkest. {_distances(embeddings)}"
    )
    figure = _draw(places, f"component 1 ({first:.0f} %)", f"component 2 ({second:.0f} %)")
    return Drawn(f"embeddings-{kind}", f"Task embeddings of the {kind}", text, figure)


def _distances(embeddings: Points) -> str:
    rows, columns = np.triu_indices(len(embeddings), 1)
    distances = np.linalg.norm(embeddings[rows] - embeddings[columns], axis=1)
    near, far = int(distances.argmin()), int(distances.argmax())

    def pair(index: int) -> str:
        return f"{rows[index] + 1} and {columns[index] + 1} ({distances[index]:.3g})"

    if len(distances) == 1:
        return f"Distance over all entries: tasks {pair(0)}."
    return f"Distances over all entries: least, tasks {pair(near)}; greatest, {pair(far)}."


def _draw(places: Points, x: str, y: str) -> Figure:
    from matplotlib import colormaps

    figure = sheet(WIDTH)
    axes = figure.add_subplot()
    first, second = places.T
    axes.plot(first, second, color="#bbbbbb", linewidth=0.8, zorder=1)
    shades = np.linspace(0, _BRIGHTEST, len(places))
    size = 180 if len(places) <= _NUMBERED else 30
    axes.scatter(first, second, s=size, c=colormaps[COLOURS](shades), zorder=2)
    _number(axes, places, shades)
    axes.margins(0.15)
    axes.set_aspect("equal", adjustable="datalim")
    axes.locator_params(nbins=5)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    name_axes(axes, x, y)
    return figure


def _number(axes: Axes, places: Points, shades: Points) -> None:
    """The number of each task in its point or, of many, those of the first and last above it."""
    inside = len(places) <= _NUMBERED
    for task in range(len(places)) if inside else (0, len(places) - 1):
        axes.annotate(
            str(task + 1),
            places[task],
            (0, 0 if inside else 8),
            textcoords="offset points",
            color=type_on(shades[task]) if inside else INK,
            fontsize=SMALL,
            ha="center",
            va="center",
        )
