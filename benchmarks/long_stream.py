"""Time, memory and accuracy of one long stream of tasks, against the number of tasks.

One training, as `hypermnesia run` does it, with evaluation after every so many tasks. A line of
JSON for each task is appended to a file as it ends; called again, an interrupted training goes on.
Processor time tells more than the clock where other processes use the machine.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from torch import Tensor

from hypermnesia.compute import keep_freed_memory
from hypermnesia.experiments.resolve import Request, resolve
from hypermnesia.experiments.run import Place, run_all
from hypermnesia.training.observers import Observer, StopTraining
from hypermnesia.training.phases import Phase, Rows

_TIMES = ("cpu_ms", "ms", "between_s")
_WINDOW = 20  # tasks before a number of tasks, of which a median is taken


class Watch(Observer):
    """Appends a line for each task to a file; ends the training within the task after `stop`."""

    def __init__(self, file: Path, stop: int | None) -> None:
        self.file, self.stop = file, stop
        self._since = self._begun = (time.process_time(), time.perf_counter())
        self._updates = 0
        self._line: dict[str, Any] = {}

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:  # noqa: ARG002
        """Start the clocks after a task's first update."""
        if self.stop is not None and phase.row >= self.stop:
            raise StopTraining
        now = time.process_time(), time.perf_counter()
        if iteration == 1:
            between = now[0] - self._since[0]
            self._begun, self._line = now, {"task": phase.row + 1, "between_s": between}
            self._updates = 0
        else:
            self._updates += 1

    def on_updates_end(self, phase: Phase) -> None:  # noqa: ARG002
        """Note what an update took on average, and the memory in use."""
        self._since = now = time.process_time(), time.perf_counter()
        if self._updates and self._line:
            pairs = zip(self._begun, now, strict=True)
            took = [1e3 * (end - start) / self._updates for start, end in pairs]
            self._line |= {"cpu_ms": took[0], "ms": took[1], "mb": _resident_mb()}

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Write the line, with the accuracies."""
        row = next(iter(rows.values()))
        self._line["learned"] = row[-1].accuracy
        if phase.whole:
            self._line["seen"] = fmean(each.accuracy for each in row)
        with self.file.open("a") as file:
            file.write(json.dumps(self._line) + "\n")
        self._line = {}


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def lines_of(file: Path) -> dict[int, dict[str, float]]:
    """By task, the newest line of each."""
    read = map(json.loads, file.read_text().splitlines())
    return {line["task"]: line for line in read if "cpu_ms" in line}


def table(lines: Mapping[int, Mapping[str, float]], at: Sequence[int]) -> list[str]:
    """A Markdown table: medians, and the most memory, of the tasks up to each number of tasks."""
    rows = ["| tasks | processor, ms | ms | between tasks, s | MB | when learned | all seen |"]
    rows.append("|--:|--:|--:|--:|--:|--:|--:|")
    for tasks in at:
        window = [lines[n] for n in range(tasks - _WINDOW + 1, tasks + 1) if n in lines]
        if tasks not in lines:
            continue
        cpu, ms, between = (median(x[name] for x in window) for name in _TIMES)
        mb, learned = max(x["mb"] for x in window), fmean(x["learned"] for x in window)
        seen = f"{lines[tasks]['seen']:.1f}" if "seen" in lines[tasks] else ""
        times = f"{cpu:.2f} | {ms:.2f} | {between:.3f}"
        rows.append(f"| {tasks} | {times} | {mb:.0f} | {learned:.1f} | {seen} |")
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, or go on, and print the table."""
    parser = argparse.ArgumentParser("python -m benchmarks.long_stream", description=__doc__)
    add = parser.add_argument
    add("--benchmark", default="perm-digits")
    add("--recipe", default=None)
    add("--tasks", type=int, default=1000)
    add("--every", type=int, default=100, help="evaluate all tasks after so many")
    add("--set", action="append", default=[], dest="assignments", metavar="SECTION.FIELD=VALUE")
    add("--stop", type=int, metavar="N", help="end within the task after the N-th, to go on later")
    add("--out", type=Path, required=True, help="folder of the run and of stream.jsonl")
    options = parser.parse_args(arguments)
    keep_freed_memory()
    options.out.mkdir(parents=True, exist_ok=True)
    request = Request(
        options.benchmark,
        recipe=options.recipe,
        assignments=[f"train.evaluate_every={options.every}", *options.assignments],
        options={"data": {"tasks": options.tasks}, "machine": {"threads": 1}},
    )
    file = options.out / "stream.jsonl"

    def watch(*_: object) -> Watch:
        return Watch(file, options.stop)

    place = Place(options.out, "run")
    try:
        run_all(resolve(request), place, watch)
    except StopTraining:
        print(f"stopped within task {options.stop + 1}")
    steps = [options.tasks * n // 10 for n in range(1, 11)]
    print("\n".join(table(lines_of(file), sorted({10, *steps}))))


if __name__ == "__main__":
    main()
