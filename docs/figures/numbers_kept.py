"""Draw accuracy against numbers kept, of docs/results: `python docs/figures/numbers_kept.py`.

Runs at other sizes than a recipe's are in `docs/results/sizes.jsonl`, a line each. What is below
60 % is left out.
"""

from __future__ import annotations

import json
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
    return [point for point in [*found, *other_sizes()] if point.reached.mean > 60]


def other_sizes() -> list[Point]:
    """Return runs of one seed at other sizes."""
    lines = Path(__file__).parents[1].joinpath("results", "sizes.jsonl").read_text("utf-8")
    runs = [json.loads(line) for line in lines.splitlines()]
    return [
        Point(f"{r['benchmark']}, class", r["method"], r["kept"], metrics.over_seeds([r["class"]]))
        for r in runs
    ]


if __name__ == "__main__":
    Path(__file__).with_name("numbers-kept.png").write_bytes(png(sizes_figure(points())))
