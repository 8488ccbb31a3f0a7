"""What an iteration costs as tasks become more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from hypermnesia.experiments.figures import Drawn
from hypermnesia.experiments.figures.canvas import (
    COLOURS,
    canvas,
    count_tasks,
    legend_below,
    line_style,
    mean_and_error,
)


def cost(seconds: Mapping[str, Sequence[Sequence[float]]]) -> Drawn:
    """A line for each run: milliseconds that an iteration of training took, task by task.

    Args:
        seconds: by label of a run, for each seed, one or more, the seconds an iteration of each
            task, or a single value where all tasks were trained at once.
    """
    figure, axes = canvas()
    told = []
    for index, (label, by_seed) in enumerate(seconds.items()):
        means, errors = mean_and_error(1000 * np.array(by_seed, dtype=np.float64))
        if len(means) == 1:
            colour = COLOURS[index % len(COLOURS)]
            axes.axhline(means[0], linestyle="--", color=colour, label=f"{label}, all at once")
            told.append(f"{label} {means[0]:.3g} for all tasks at once")
            continue
        tasks, style = np.arange(1, len(means) + 1), line_style(index, len(means))
        axes.errorbar(tasks, means, errors, **style, capsize=2, label=label)
        told.append(f"{label} {means[0]:.3g} on task 1, {means[-1]:.3g} on task {len(means)}")
    axes.set_ylabel("milliseconds an iteration")
    axes.set_ylim(bottom=0)
    count_tasks(axes.xaxis, "task")
    legend_below(figure, axes)
    text = (
        "Milliseconds that an iteration of training took, task by task, with the standard error "
        f"over seeds; evaluation is left out. {'; '.join(told)}."
    )
    return Drawn("cost", "Cost against tasks", text, figure)
