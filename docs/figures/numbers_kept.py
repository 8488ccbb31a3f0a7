"""Draw accuracy against numbers kept, of docs/results: `python docs/figures/numbers_kept.py`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "_ext"))

from kept_results import summaries

from hypermnesia import metrics
from hypermnesia.experiments.results import results_of
from hypermnesia.experiments.sizes import numbers_kept
from hypermnesia.report.canvas import png
from hypermnesia.report.figures import Point, sizes_figure


def points() -> list[Point]:
    """Return each method of the split benchmarks in the class scenario."""
    found = []
    for run in summaries():
        name = run.config.benchmark
        if name not in ("split-mnist", "split-fashion") or "class" not in run.scenarios:
            continue
        results = results_of(run.folder, run.config, run.folder.finished_seeds()).values()
        kept = sum(numbers_kept(run.config, each) for each in results) / len(results)
        accuracy = metrics.over_seeds([metrics.acc(each.accuracy["class"]) for each in results])
        found.append(Point(f"{name}, class", run.config.method, kept, accuracy))
    return found


if __name__ == "__main__":
    Path(__file__).with_name("numbers-kept.png").write_bytes(png(sizes_figure(points())))
