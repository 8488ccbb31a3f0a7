"""Methods side by side: what each reached in each scenario."""

from __future__ import annotations

from collections.abc import Sequence

from hypermnesia.experiments.figures import Drawn
from hypermnesia.experiments.figures.bars import Bar, Panel, bar_figure
from hypermnesia.experiments.figures.canvas import seeds_told


def side_by_side(bars: Sequence[Bar]) -> Drawn:
    """Bars of the accuracy on all tasks at the end, with whiskers of one standard error.

    Args:
        bars: a group for each scenario, a label for each run; one or more with a mean.
    """
    values = (
        f"{bar.label} {bar.height.text()} in {bar.group} ({seeds_told(bar.height.n)})"
        for bar in bars
        if bar.height.n
    )
    text = (
        "Accuracy in percent on all tasks after the last one, mean and standard error over seeds: "
        f"{'; '.join(values)}."
    )
    figure = bar_figure([Panel("", bars)], "accuracy %")
    return Drawn("side-by-side", "Methods side by side", text, figure)
