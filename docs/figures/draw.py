"""Draw the pictures of the front page and of the concept pages, for light and for dark pages.

`python docs/figures/draw.py` writes NAME-light.svg and NAME-dark.svg beside this file: from
docs/results, from numbers.json, which measure.py writes, and from formulas.
`--runs FOLDER` draws the front page's picture from runs of your own.
"""

from __future__ import annotations

import io
import json
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from hypermnesia.report.canvas import COLOURS, DARK_INK

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
_BLUE, _ORANGE, _GREEN, _PINK, *_, _GREY = COLOURS
_STYLE: dict[str, Any] = {
    "font.size": 9,  # and narrow figures, which a phone shows nearly in full size
    "svg.fonttype": "none",
    "svg.hashsalt": "hypermnesia",  # the same file for the same numbers
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "legend.frameon": False,
}
INKS = {"light": "#1b1f24", "dark": DARK_INK}
_PAIRS = ("0 or 1", "2 or 3", "4 or 5", "6 or 7", "8 or 9")
_METHODS = {
    "finetune_class": "ordinary network",
    "ewc_class": "EWC",
    "hnet-lik_all": "Hypermnesia",
}


def accuracies(folder: Path, run: str) -> np.ndarray:
    """(5, 5) percent on each pair (columns) after each (rows), class scenario, mean over seeds."""
    files = sorted(folder.glob(f"split-digits_{run}/seed-*/result.json"))
    matrices = [json.loads(file.read_text("utf-8"))["accuracy"]["class"] for file in files]
    return np.mean(np.array(matrices, dtype=float), axis=0)


def front(folder: Path = RESULTS) -> Figure:
    """Accuracy on every pair of digits while one pair after another is learned: three methods."""
    figure = Figure(figsize=(5.2, 3.1))
    grid = figure.subplots(5, 3, sharex=True, sharey=True, gridspec_kw={"wspace": 0.06})
    for column, (run, title) in enumerate(_METHODS.items()):
        matrix = accuracies(folder, run)
        grid[0, column].set_title(f"{title}\n{matrix[-1].mean():.0f} % at the end", fontsize=9)
        for pair, axes in enumerate(grid[:, column]):
            steps = range(pair, 5)
            colour = _BLUE if run.startswith("hnet") else _GREY
            axes.bar(steps, matrix[pair:, pair], width=0.86, color=colour)
            axes.set(ylim=(0, 108), xlim=(-0.6, 4.6), yticks=[], xticks=range(5))
            axes.set_xticklabels(range(1, 6))
            axes.spines["left"].set_visible(False)
            if column == 0:
                axes.set_ylabel(_PAIRS[pair], rotation=0, ha="right", va="center")
    figure.supxlabel("after learning pair number ...", fontsize=9)
    return figure


def forgetting() -> Figure:
    """Two losses over two weights, and where descent on the second ends, plain and held."""
    first, second = np.array([-1.0, 0.0]), np.array([0.8, 1.1])
    a, b = np.array([[0.12, -0.05], [-0.05, 2.2]]), np.array([[1.7, 0.5], [0.5, 0.35]])
    x, y = np.meshgrid(np.linspace(-2.8, 2.4, 160), np.linspace(-0.9, 2.6, 160))
    points = np.stack([x, y], axis=-1)

    def loss(centre: np.ndarray, form: np.ndarray) -> np.ndarray:
        return np.einsum("...i,ij,...j", points - centre, form, points - centre)

    def path(strength: float) -> np.ndarray:
        places = [first]
        for _ in range(2000):
            w = places[-1]
            places.append(w - 0.02 * (b @ (w - second) + strength * a @ (w - first)))
        return np.array(places)

    figure = Figure(figsize=(4.6, 3.3))
    axes = figure.subplots()
    for name, centre, form, colour in (
        ("task 1", first, a, _ORANGE),
        ("task 2", second, b, _BLUE),
    ):
        axes.contour(x, y, loss(centre, form), levels=[0.12, 0.4, 0.8], colors=colour, alpha=0.8)
        axes.plot(*centre, "o", color=colour)
        axes.annotate(f"best for {name}", centre, (0, 9), textcoords="offset points", ha="center")
    for strength, colour, label in (
        (0.0, _GREY, "trained on task 2 alone"),
        (1.0, _GREEN, "held where task 1 is sensitive"),
    ):
        places = path(strength)
        axes.plot(*places.T, color=colour, linewidth=2.4, label=label)
        axes.plot(*places[-1], marker="s", color=colour, markersize=7)
    axes.set(xlabel="one weight", ylabel="another weight", xticks=[], yticks=[])
    figure.legend(loc="outside lower center", ncols=1)
    return figure


def scenarios() -> Figure:
    """One image, and what is told and asked of it in the three scenarios."""
    from sklearn.datasets import load_digits

    image = load_digits().images[3]
    figure = Figure(figsize=(4.6, 3.4))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, 10), ylim=(-0.5, 4.6))
    axes.imshow(image, cmap="Greys", extent=(0, 1.9, 1.3, 3.0), aspect="auto", zorder=0)
    rows = (
        ("task", "told that it is a 2 or a 3; which?", ("2", "3"), 1),
        ("domain", "told nothing; even or odd?", ("even", "odd"), 1),
        ("class", "told nothing; which digit?", tuple("0123456789"), 3),
    )
    for row, (name, asked, answers, right) in enumerate(rows):
        y = 4.0 - 1.7 * row
        axes.text(2.4, y, name, fontweight="bold")
        axes.text(4.2, y, asked)
        for number, answer in enumerate(answers):
            step = 0.74 if len(answers) > 2 else 1.5
            edge = _GREEN if number == right else _GREY
            box = {"boxstyle": "round,pad=0.22", "facecolor": "none", "edgecolor": edge}
            width = 2.2 if number == right else 0.8
            axes.text(2.5 + step * number, y - 0.7, answer, bbox={**box, "linewidth": width})
    return figure


def sizes() -> Figure:
    """How large a hypernetwork is, against the weights that it makes at a time."""
    weights, entries, features = 16_802, 8, 10
    chunk = np.unique(np.geomspace(20, 16_802, 300).astype(int))
    hidden = (2 * entries + 1) * features + (features + 1) * features
    size = (features + 1) * chunk + entries * np.ceil(weights / chunk) + hidden
    figure = Figure(figsize=(4.6, 3.3))
    axes = figure.subplots()
    axes.loglog(
        chunk, size, color=_BLUE, linewidth=2, label="hypernetwork, for any number of tasks"
    )
    for count, style in ((1, "--"), (5, ":")):
        label = f"{count} separate network{'s' if count > 1 else ''}"
        axes.axhline(count * weights, color=_GREY, linestyle=style, label=label)
    at = int(np.abs(chunk - 1000).argmin())
    axes.plot(chunk[at], size[at], "o", color=_ORANGE, label="recipe of split-digits, chunk 1,000")
    axes.set(xlabel="chunk: weights made at a time, D", ylabel="numbers kept")
    figure.legend(loc="outside lower center", ncols=1)
    return figure


def regulariser() -> Figure:
    """Multiplications of the regulariser at an iteration, by definition and in closed form."""
    chunk, chunks, features = 16_500, 29, 25
    tasks = np.arange(1, 101)
    definition = tasks * chunks * chunk * (features + 1)
    width = 2 * features + 1
    closed = chunk * width**2 + tasks * chunks * width**2
    figure = Figure(figsize=(4.6, 2.7))
    axes = figure.subplots()
    axes.semilogy(tasks, definition, color=_ORANGE, linewidth=2, label="by definition")
    axes.semilogy(tasks, closed, color=_BLUE, linewidth=2, label="in closed form")
    axes.set(xlabel="earlier tasks", ylabel="multiplications")
    axes.legend(loc="center right")
    return figure


def _numbers() -> dict[str, Any]:
    return dict(json.loads((HERE / "numbers.json").read_text("utf-8")))


def evidence() -> Figure:
    """Log likelihoods of what was learned, of other digits and of noise."""
    figure = Figure(figsize=(4.6, 3.3))
    axes = figure.subplots()
    found = _numbers()["evidence"]
    bins = np.linspace(-250, 100, 60)
    for (name, of), colour in zip(found.items(), (_BLUE, _ORANGE, _GREY), strict=True):
        scores = np.clip(of["scores"], bins[0], bins[-1])
        label = f"{name}: {100 * of['rejected']:.0f} % rejected"
        share = np.full(len(scores), 100 / len(scores))
        axes.hist(scores, bins, weights=share, color=colour, alpha=0.75, label=label)
    axes.set(
        xlabel="log p(x), nats; all of the noise lies below", ylabel="% of the inputs", ylim=(0, 24)
    )
    figure.legend(loc="outside lower center", ncols=1)
    return figure


def drift() -> Figure:
    """What is learned and what is left, against β, and where the bound on drift leads."""
    *rows, bounded = _numbers()["drift"]
    betas = [row["beta"] for row in rows]
    figure = Figure(figsize=(4.6, 3.3))
    axes = figure.subplots()
    just, end = ([100 * row[name] for row in rows] for name in ("just", "end"))
    axes.semilogx(betas, just, "s--", color=_ORANGE, label="each task, just learned")
    axes.semilogx(betas, end, "o-", color=_BLUE, linewidth=2, label="all tasks, at the end")
    at = 100 * bounded["end"]
    axes.axhline(at, color=_GREEN, linestyle=":", linewidth=2, label="at the end, drift bounded")
    axes.set(xlabel="β: weight of the regulariser", ylabel="accuracy, %")
    figure.legend(loc="outside lower center", ncols=1)
    return figure


def kept() -> Figure:
    """Numbers kept against tasks, for a small model and for one of a million weights."""
    tasks = np.arange(1, 31)
    figure = Figure(figsize=(4.6, 5.2))
    for axes, weights in zip(figure.subplots(2, 1), (7_005, 1_008_006), strict=True):
        axes.plot(tasks, tasks * weights, color=_GREY, linewidth=2, label="separate networks")
        axes.plot(tasks, 3 * weights + 0 * tasks, "--", color=_ORANGE, label="EWC")
        hypernetwork = max(50_000, weights) + 16 * tasks
        axes.plot(tasks, hypernetwork, color=_BLUE, linewidth=2, label="hypernetwork")
        axes.set(title=f"a model of {weights:,} weights", ylim=(0, 30 * weights))
        axes.set(xlabel="tasks", ylabel="numbers kept")
        axes.ticklabel_format(axis="y", style="plain")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value / 1000:,.0f}k" if value else "0")
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    each.__name__: each
    for each in (front, forgetting, scenarios, sizes, regulariser, evidence, drift, kept)
}


def style(page: str) -> dict[str, Any]:
    """Settings of matplotlib for a `light` page or a `dark` one."""
    ink = INKS[page]
    inked = {f"{name}.color": ink for name in ("text", "xtick", "ytick")}
    return _STYLE | inked | {f"axes.{n}": ink for n in ("edgecolor", "labelcolor", "titlecolor")}


def svg(figure: Figure) -> str:
    """The text of a figure's file, the same for the same figure."""
    content = io.StringIO()
    metadata = {"Date": None, "Creator": None}
    figure.savefig(content, format="svg", transparent=True, metadata=metadata)
    return "\n".join(line.rstrip() for line in content.getvalue().splitlines()) + "\n"


def images(draw: Callable[[], Figure]) -> dict[str, str]:
    """SVG text of a figure for light pages and for dark ones."""
    found = {}
    for page in INKS:
        with mpl.rc_context(style(page)):
            found[page] = svg(draw())
    return found


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of pictures; all of them by default")
    parser.add_argument(
        "--runs", type=Path, default=RESULTS, help="folder of the front page's runs"
    )
    given = parser.parse_args()
    for name in given.names or FIGURES:
        figure = FIGURES[name]
        drawn = images((lambda: front(given.runs)) if name == "front" else figure)
        for page, text in drawn.items():
            (HERE / f"{name}-{page}.svg").write_text(text, "utf-8")
