"""The iteration benchmark as a figure: milliseconds and peak memory against old tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks.report import Row

# Okabe and Ito's colours, which the colour-blind can tell apart; labels carry the names anyway.
STYLES: dict[str, tuple[str, str, str]] = {
    "direct": ("direct sum", "#D55E00", "-"),
    "closed": ("closed form", "#0072B2", "-"),
    "sampled": ("sampled", "#009E73", "--"),
    "closed-bf16": ("closed form, bf16", "#CC79A7", "-"),
    "peer": ("hypnettorch", "#333333", "-."),
}
_LABEL_GAP = 0.055  # of the height of a panel


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the figure to `path`, as SVG or PNG by its ending."""
    mpl.rcParams["svg.hashsalt"] = "hypermnesia"  # the same file for the same rows
    figure = Figure(figsize=(10, 4.2), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    _panel(left, rows, "ms", "milliseconds an iteration")
    _panel(right, rows, "peak_mb", "peak memory, MB")
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, dpi=150, metadata=metadata)


def _panel(axes: Any, rows: Sequence[Row], value: Literal["ms", "peak_mb"], title: str) -> None:
    ends: dict[str, float] = {}
    for variant, (_, colour, line) in STYLES.items():
        points = sorted((r["old_tasks"], r[value]) for r in rows if r["variant"] == variant)
        if points:
            x, y = zip(*points, strict=True)
            axes.plot(x, y, line, color=colour, marker="o", markersize=3.5, linewidth=1.8)
            ends[variant] = y[-1]
    # Linear up to 1, so that none is on the axis too.
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    axes.set_yscale("log")
    ticks = sorted({r["old_tasks"] for r in rows})
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda v, _: f"{v:g}")
    axes.minorticks_off()
    axes.set_xlabel("old tasks")
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    _label(axes, ends)


def _label(axes: Any, ends: dict[str, float]) -> None:
    """Names at the ends of the lines, moved apart where lines end close together."""
    low, high = (math.log(v) for v in axes.get_ylim())
    last = -math.inf
    for variant, value in sorted(ends.items(), key=lambda item: item[1]):
        name, colour, _ = STYLES[variant]
        last = max((math.log(value) - low) / (high - low), last + _LABEL_GAP)
        axes.annotate(
            name, (1.02, last), xycoords="axes fraction", color=colour, va="center", fontsize=9
        )
