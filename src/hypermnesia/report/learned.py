"""Figures of what a finished seed has learned, and why some cannot be drawn.

Task confusion, embedding transfer, task embeddings in two dimensions, samples of its memory, and
what `hypermnesia.report.certainty` draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hypermnesia.errors import ConfigError, HypermnesiaError, RunError
from hypermnesia.evidence.autoencoders import Samples, VaeMemory, sampler_of
from hypermnesia.experiments.finished import FinishedSeed, transfer_matrix
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.methods import METHODS
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.report import canvas
from hypermnesia.report.canvas import Drawn
from hypermnesia.report.certainty import certainty
from hypermnesia.report.few_shot import few_shot
from hypermnesia.report.matrices import embedding_transfer, task_confusion
from hypermnesia.training.evaluation import measure_of
from hypermnesia.training.logs import read_samples, samples_file, spread_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Points = NDArray[np.float64]
"""(n, E) embeddings, or (n, 2) coordinates."""

Pixels = NDArray[np.uint8]
"""(height, width, 3)."""

_BRIGHTEST = 0.8  # of the colour map, that still shows on white
_NAMED = 20  # points with room for a name in each
_SIDE = 56  # pixels of an image at least, so that gaps are small beside it
_GAP, _MARGIN = 4, 8  # pixels around an image, and around those of a task
_LABELS = 0.5  # inches that labels take
_WHITE = 255


def principal_components(embeddings: Points) -> tuple[Points, Points]:
    """Project (T, E) embeddings onto two components: (T, 2), and (2,) shares of the variance.

    The sign of a component makes its largest entry positive. Shares are 0 if nothing varies.
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


def embedding_names(parts: Sequence[int]) -> list[str]:
    """Name the embeddings of tasks with so many parts each: `1`, or `1a` and `1b`.

    Example:
        >>> from hypermnesia.report.learned import embedding_names
        >>> embedding_names([1, 1]), embedding_names([2, 1])
        (['1', '2'], ['1a', '1b', '2a'])
    """
    if max(parts) == 1:
        return [str(task) for task in range(1, len(parts) + 1)]
    return [f"{task}{_letters(i)}" for task, n in enumerate(parts, start=1) for i in range(n)]


def _letters(index: int) -> str:
    """A to z, aa to az, ba and so on."""
    before, last = divmod(index, 26)
    return (_letters(before - 1) if before else "") + ascii_lowercase[last]


def embedding_plot(embeddings: Points, kind: str, parts: Sequence[int]) -> Drawn:
    """Plot (n, E) embeddings, n >= 2, on their first two principal components.

    Args:
        embeddings: those of a hypernetwork.
        kind: what it generates: `networks` or `autoencoders`.
        parts: number of embeddings of each task, in order.
    """
    places, shares = principal_components(embeddings)
    first, second = 100 * shares
    of = "task" if max(parts) == 1 else "class"
    names = embedding_names(parts)
    text = (
        f"The {len(embeddings)} {of} embeddings ({embeddings.shape[1]} entries each) of the "
        f"hypernetwork that makes the {kind}, on their first two principal components, which hold "
        f"{first:.1f} % and {second:.1f} % of the variance; a line joins them in the order of "
        f"tasks, the first is the darkest. {_distances(embeddings, names)}"
    )
    figure = _draw_map(places, names)
    x, y = f"component 1 ({first:.0f} %)", f"component 2 ({second:.0f} %)"
    canvas.label_axes(figure.axes[0], x, y)
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


def _draw_map(places: Points, names: Sequence[str]) -> Figure:
    """Draw each point with its name in it or, of many, that above the first and the last one."""
    from matplotlib import colormaps

    figure, axes = canvas.new_axes(canvas.NARROW, canvas.NARROW)
    first, second = places.T
    axes.plot(first, second, color="#bbbbbb", linewidth=0.8, zorder=1)
    shades = np.linspace(0, _BRIGHTEST, len(places))
    inside = len(places) <= _NAMED
    colours, size = colormaps[canvas.COLOUR_MAP](shades), 180 if inside else 30
    axes.scatter(first, second, s=size, c=colours, zorder=2)
    for point in range(len(places)) if inside else (0, len(places) - 1):
        offset = (0, 0 if inside else 8)
        text = axes.annotate(names[point], places[point], offset, textcoords="offset points")
        if inside:
            canvas.write_on(text, shades[point])
        else:
            text.set(fontsize=canvas.SMALL, ha="center", va="center")
    axes.margins(0.15)
    axes.set_aspect("equal", adjustable="datalim")
    axes.locator_params(nbins=5)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    return figure


def memory_samples(samples: Mapping[int, Samples]) -> Drawn:
    """Show (n, channels, height, width) images that a generative memory sampled after each task.

    They are by task, or under None of all tasks mixed, and all of one shape.
    """
    rows = sorted(samples)
    columns = list(samples[rows[-1]])
    knows = "A column for each task that it knows."
    if columns == [None]:
        knows = "It does not know tasks apart: all those so far are mixed."
    text = (
        f"Images that the generative memory gives after learning task "
        f"{', '.join(str(row + 1) for row in rows)} (a row each), from the same random draws each "
        f"time. {knows}{_change_text(samples)}"
    )
    grid = _grid([[samples[row].get(column) for column in columns] for row in rows])
    return Drawn("memory-samples", "Generative memory", text, _draw_samples(grid, rows, columns))


def _change_text(samples: Mapping[int, Samples]) -> str:
    """Describe how far the images of a task changed since it was learned."""
    last = samples[max(samples)]
    changes = {
        task: float((last[task].float() - samples[task][task].float()).abs().mean())
        for task in samples
        if task != max(samples) and task in last and task in samples[task]
    }
    if not changes:
        return ""
    most = max(changes, key=changes.__getitem__)
    return (
        f" From when a task was learned to the end, its pixels changed by "
        f"{np.mean(list(changes.values())):.1f} of 255 levels (mean), those of task {most + 1} "
        f"most, by {changes[most]:.1f}."
    )


def _grid(table: Sequence[Sequence[Tensor | None]]) -> Pixels:
    """Arrange all images in cells of one size; white where there are none."""
    across, most = _layout(len(table[0]))
    tiles = [[None if x is None else _tile(x[:most].numpy(), across) for x in r] for r in table]
    blank = np.full_like(next(t for row in tiles for t in row if t is not None), _WHITE)
    return np.vstack([np.hstack([blank if t is None else t for t in row]) for row in tiles])


def _layout(columns: int) -> tuple[int, int]:
    """Return the number of images in a row of a cell, and in the cell."""
    if columns == 1:
        return 8, 8
    return (2, 8) if columns <= 5 else (1, 4)


def _tile(images: Pixels, across: int) -> Pixels:
    """Arrange (n, channels, height, width) images as a cell, `across` of them in a row."""
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
    figure, axes = canvas.new_axes(
        (canvas.NARROW - _LABELS) * height / width + _LABELS, canvas.NARROW
    )
    axes.imshow(grid)
    named = [column for column in columns if column is not None]
    canvas.label_axes(
        axes, "images of task" if named else "images of all tasks so far", "after task"
    )
    for size, tasks, set_ticks in (
        (height, rows, axes.set_yticks),
        (width, named, axes.set_xticks),
    ):
        middles = [size * (part + 0.5) / len(tasks) for part in range(len(tasks))]
        set_ticks(middles, [str(task + 1) for task in tasks])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


@dataclass(frozen=True)
class Missing:
    """A kind of figure that could not be drawn, for a reason of one line.

    Attributes:
        damaged: whether the run should have the data for it.
    """

    kind: str
    reason: str
    damaged: bool


def figures_and_missing(finished: FinishedSeed) -> tuple[list[Drawn], list[Missing]]:
    """Draw the figures of a finished seed; return also the kinds that could not be drawn.

    The transfer matrix is computed from the data, which takes as long as evaluating every task with
    every embedding (at most 10 tasks).
    """
    drawn: list[Drawn] = []
    missing: list[Missing] = []
    for kind, draw in _KINDS.items():
        try:
            drawn += draw(finished)
        except HypermnesiaError as error:
            missing.append(Missing(kind, str(error), damaged=not isinstance(error, ConfigError)))
    return drawn, missing


def _confusions(finished: FinishedSeed) -> list[Drawn]:
    confusion = finished.result.confusion
    if not confusion:
        raise _not_for("task confusion is of methods that infer the task", finished)
    # Scenarios with the same counts share a figure.
    alike: dict[bytes, list[str]] = {}
    for name, counts in confusion.items():
        alike.setdefault(counts.tobytes(), []).append(name)
    samples = finished.config.data.evaluate_on
    return [
        task_confusion(np.frombuffer(counts, np.int64).reshape(-1, finished.tasks), names, samples)
        for counts, names in alike.items()
    ]


def _transfer(finished: FinishedSeed) -> list[Drawn]:
    _check_several_tasks(finished)
    method = finished.method
    if not isinstance(method, HypernetMethod):
        raise _not_for("embedding transfer needs a hypernetwork", finished)
    parts, chosen = finished.parts(), spread_out(finished.tasks)
    matrix = transfer_matrix(method, [parts[task] for task in chosen])
    chance = None
    if measure_of(parts[0]) == "accuracy":
        chance = float(np.mean([100 / method.scenario.heads[task] for task in chosen]))
    return [embedding_transfer(matrix, chosen, chance, finished.config.data.evaluate_on)]


def _embeddings(finished: FinishedSeed) -> list[Drawn]:
    _check_several_tasks(finished)
    method, drawn = finished.method, []
    if isinstance(method, HypernetMethod):
        parts = [1] * method.memory.tasks
        drawn.append(embedding_plot(_points(method.memory, finished), "networks", parts))
    sampler = sampler_of(method)
    if isinstance(sampler, VaeMemory):
        points = _points(sampler.memory, finished)
        drawn.append(embedding_plot(points, "autoencoders", sampler.parts))
    if not drawn:
        raise _not_for("task embeddings are those of hypernetworks", finished)
    return drawn


def _points(memory: WeightMemory, finished: FinishedSeed) -> Points:
    """Return the (n, E) embeddings."""
    embeddings = memory.condition(range(memory.tasks)).detach().double()
    if not embeddings.isfinite().all():
        raise RunError(f"{finished.folder.weights} must hold finite embeddings")
    return np.asarray(embeddings.numpy())


def _memory_samples(finished: FinishedSeed) -> list[Drawn]:
    chosen = spread_out(finished.tasks)
    files = {row: samples_file(finished.folder.samples, row) for row in chosen}
    there = {row: file for row, file in files.items() if file.is_file()}
    if not there:
        if "vae" in METHODS[finished.config.method].sections:
            raise ConfigError(
                "samples are stored while a generative memory of images learns",
                got=f"no file in {finished.folder.samples}",
            )
        raise _not_for("samples are stored by methods with a generative memory", finished)
    samples = {
        row: read_samples(file, [task for task in chosen if task <= row])
        for row, file in there.items()
    }
    if len({(x.shape, None in each) for each in samples.values() for x in each.values()}) != 1:
        rule = f"the files in {finished.folder.samples} must be of one training"
        hint = "train the seed anew with --overwrite"
        raise RunError(rule, got="images of several kinds", hint=hint)
    return [memory_samples(samples)]


_KINDS: dict[str, Callable[[FinishedSeed], list[Drawn]]] = {
    "task confusion": _confusions,
    "embedding transfer": _transfer,
    "task embeddings": _embeddings,
    "calibration": certainty,
    "samples of the generative memory": _memory_samples,
    "tasks from a few samples": few_shot,
}


def _check_several_tasks(finished: FinishedSeed) -> None:
    if finished.tasks < 2:
        raise ConfigError("embeddings are compared between tasks", got="one task")


def _not_for(rule: str, finished: FinishedSeed) -> ConfigError:
    return ConfigError(rule, got=finished.config.method)
