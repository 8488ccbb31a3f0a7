"""What a generative memory gives of each task, after each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hypermnesia.experiments.figures import Drawn
from hypermnesia.experiments.figures.sheet import WIDTH, name_axes, sheet
from hypermnesia.methods.sampler import Samples

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    return Drawn("memory-samples", "Generative memory", text, _draw(grid, rows, columns))


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


def _draw(grid: Pixels, rows: Sequence[int], columns: Sequence[int | None]) -> Figure:
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
