"""What was learned: task embeddings in two dimensions, samples of a generative memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hypermnesia.evidence.autoencoders import Samples
from hypermnesia.report import Drawn
from hypermnesia.report.canvas import (
    COLOUR_MAP,
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
        >>> from hypermnesia.report.learned import names_of
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
    labels = f"component 1 ({first:.0f} %)", f"component 2 ({second:.0f} %)"
    figure = _draw_map(places, names, *labels)
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


def _draw_map(places: Points, names: Sequence[str], x: str, y: str) -> Figure:
    from matplotlib import colormaps

    figure = sheet(WIDTH)
    axes = figure.add_subplot()
    first, second = places.T
    axes.plot(first, second, color="#bbbbbb", linewidth=0.8, zorder=1)
    shades = np.linspace(0, _BRIGHTEST, len(places))
    size = 180 if len(places) <= _NAMED else 30
    axes.scatter(first, second, s=size, c=colormaps[COLOUR_MAP](shades), zorder=2)
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


Pixels = NDArray[np.uint8]

_SIDE = 56  # pixels of an image at least, so that a gap can be small beside it
_GAP, _MARGIN = 4, 8  # pixels around an image, and around those of a task
_LABELS = 0.5  # inches that labels take
_WHITE = 255


def memory_samples(samples: Mapping[int, Samples]) -> Drawn:
    """The images that a memory gave after each task.

    Args:
        samples: task, from 0, -> (n, channels, height, width) uint8 images after it: of each task
            known then or, under None, of all of them mixed; all of one shape.
    """
    rows = sorted(samples)
    columns = list(samples[rows[-1]])
    text = (
        f"Images that the generative memory gives after learning task "
        f"{', '.join(str(row + 1) for row in rows)} (a row each), from the same random draws each "
        f"time. {_columns_text(columns)}{_change_text(samples)}"
    )
    grid = _grid([[samples[row].get(column) for column in columns] for row in rows])
    return Drawn("memory-samples", "Generative memory", text, _draw_samples(grid, rows, columns))


def _columns_text(columns: Sequence[int | None]) -> str:
    if columns == [None]:
        return "It does not know tasks apart: all those so far are mixed."
    return "A column for each task that it knows."


def _change_text(samples: Mapping[int, Samples]) -> str:
    """How far the images of a task moved since it was learned."""
    last = samples[max(samples)]
    changes = {
        task: float((last[task].float() - samples[task][task].float()).abs().mean())
        for task in samples
        if task != max(samples) and task in last and task in samples[task]
    }
    if not changes:
        return ""
    most = max(changes, key=lambda task: changes[task])
    return (
        f" From when a task was learned to the end, its pixels changed by "
        f"{np.mean(list(changes.values())):.1f} of 255 levels (mean), those of task {most + 1} "
        f"most, by {changes[most]:.1f}."
    )


def _grid(table: Sequence[Sequence[Tensor | None]]) -> Pixels:
    """(height, width, 3) of all images, in cells of one size; white where there are none."""
    across, shown = _layout(len(table[0]))
    tiles = [[None if x is None else _tile(x[:shown].numpy(), across) for x in r] for r in table]
    blank = np.full_like(next(t for row in tiles for t in row if t is not None), _WHITE)
    return np.vstack([np.hstack([blank if t is None else t for t in row]) for row in tiles])


def _layout(columns: int) -> tuple[int, int]:
    """Images side by side in a cell, and images in it."""
    if columns == 1:
        return 8, 8
    return (2, 8) if columns <= 5 else (1, 4)


def _tile(images: Pixels, across: int) -> Pixels:
    """(height, width, 3) of (n, channels, height, width) images, `across` of them in a row."""
    times = -(-_SIDE // images.shape[2])
    x = images.repeat(3 // images.shape[1], axis=1).repeat(times, axis=2).repeat(times, axis=3)
    x = np.pad(x, ((0, 0), (0, 0), (_GAP, _GAP), (_GAP, _GAP)), constant_values=_WHITE)
    n, colours, height, width = x.shape
    x = x.reshape(n // across, across, colours, height, width).transpose(0, 3, 1, 4, 2)
    tile = x.reshape(n // across * height, across * width, colours)
    margin = (_MARGIN, _MARGIN)
    return np.pad(tile, (margin, margin, (0, 0)), constant_values=_WHITE)


def _draw_samples(grid: Pixels, rows: Sequence[int], columns: Sequence[int | None]) -> Figure:
    height, width, _ = grid.shape
    figure = sheet((WIDTH - _LABELS) * height / width + _LABELS)
    axes = figure.add_subplot()
    axes.imshow(grid)
    named = [column for column in columns if column is not None]
    name_axes(axes, "images of task" if named else "images of all tasks so far", "after task")
    axes.set_yticks(_middles(height, len(rows)), [str(row + 1) for row in rows])
    axes.set_xticks(_middles(width, len(named)), [str(task + 1) for task in named])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _middles(pixels: int, parts: int) -> list[float]:
    return [pixels * (part + 0.5) / parts for part in range(parts)]
