"""Embeddings of tasks, or of their classes, in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
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
_NAMED = 20  # points with room for a name in each


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


def names_of(parts: Sequence[int]) -> list[str]:
    """What the embeddings of tasks with so many parts each are called: `1`, or `1a` and `1b`.

    Example:
        >>> from hypermnesia.experiments.figures.embeddings import names_of
        >>> names_of([1, 1]), names_of([2, 1])
        (['1', '2'], ['1a', '1b', '2a'])
    """
    if max(parts) == 1:
        return [str(task) for task in range(1, len(parts) + 1)]
    return [f"{task}{_letters(i)}" for task, n in enumerate(parts, start=1) for i in range(n)]


def _letters(index: int) -> str:
    """A to z, aa to az, ba and so on."""
    before, last = divmod(index, 26)
    return (_letters(before - 1) if before else "") + ascii_lowercase[last]


def embedding_map(embeddings: Points, kind: str, parts: Sequence[int]) -> Drawn:
    """A map of the embeddings of a hypernetwork.

    Args:
        embeddings: (n, E), n of 2 or more.
        kind: what it makes: `classifiers` or `autoencoders`.
        parts: how many of the embeddings, in order, are of each task.
    """
    places, shares = principal_plane(embeddings)
    first, second = 100 * shares
    names, of = names_of(parts), "task" if max(parts) == 1 else "class"
    text = (
        f"The {len(embeddings)} {of} embeddings ({embeddings.shape[1]} entries each) of the "
        f"hypernetwork that makes the {kind}, on their first two principal components, which hold "
        f"{first:.1f} % and {second:.1f} % of the variance; a line joins them in the order of "
        f"tasks, the first is the darkest. {_distances(embeddings, names)}"
    )
    figure = _draw(places, names, f"component 1 ({first:.0f} %)", f"component 2 ({second:.0f} %)")
    return Drawn(f"embeddings-{kind}", f"{of.title()} embeddings of the {kind}", text, figure)


def _distances(embeddings: Points, names: Sequence[str]) -> str:
    rows, columns = np.triu_indices(len(embeddings), 1)
    distances = np.linalg.norm(embeddings[rows] - embeddings[columns], axis=1)
    near, far = int(distances.argmin()), int(distances.argmax())

    def pair(index: int) -> str:
        return f"{names[rows[index]]} and {names[columns[index]]} ({distances[index]:.3g})"

    if len(distances) == 1:
        return f"Distance over all entries: {pair(0)}."
    return f"Distances over all entries: least, {pair(near)}; greatest, {pair(far)}."


def _draw(places: Points, names: Sequence[str], x: str, y: str) -> Figure:
    from matplotlib import colormaps

    figure = sheet(WIDTH)
    axes = figure.add_subplot()
    first, second = places.T
    axes.plot(first, second, color="#bbbbbb", linewidth=0.8, zorder=1)
    shades = np.linspace(0, _BRIGHTEST, len(places))
    size = 180 if len(places) <= _NAMED else 30
    axes.scatter(first, second, s=size, c=colormaps[COLOURS](shades), zorder=2)
    _name(axes, places, names, shades)
    axes.margins(0.15)
    axes.set_aspect("equal", adjustable="datalim")
    axes.locator_params(nbins=5)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    name_axes(axes, x, y)
    return figure


def _name(axes: Axes, places: Points, names: Sequence[str], shades: Points) -> None:
    """The name of each in its point or, of many, those of the first and last above it."""
    inside = len(places) <= _NAMED
    for point in range(len(places)) if inside else (0, len(places) - 1):
        axes.annotate(
            names[point],
            places[point],
            (0, 0 if inside else 8),
            textcoords="offset points",
            color=type_on(shades[point]) if inside else INK,
            fontsize=SMALL,
            ha="center",
            va="center",
        )
