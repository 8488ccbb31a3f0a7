"""Milliseconds and peak memory of a training iteration against the number of old tasks.

Each measurement is a fresh process. Rounds repeat all of them, variants side by side, so that a
noisy machine's drift meets every variant alike; times of all rounds are pooled.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.gradient_error import error_lines
from benchmarks.measure import VARIANTS, Measurement, measure, measure_apart
from benchmarks.report import Row, ratio_lines, table_lines
from benchmarks.spec import CannotMeasure, Spec
from hypermnesia.experiments.doctor import environment

# Compiling takes up to a minute, and is for networks with convolutions.
_DEFAULT_VARIANTS = tuple(name for name in VARIANTS if not name.endswith("-compiled"))
PLOT = Path(__file__).with_name("iteration_cost.svg")

Seen = dict[tuple[str, int], list[Measurement]]


def run(
    specs: Sequence[Spec],
    rounds: int,
    measure: Callable[[Spec], Measurement],
    after_round: Callable[[list[Row]], None] | None = None,
) -> list[Row]:
    """Rows in the order of `specs`; those that cannot be measured are left out, with a note."""
    seen: Seen = {}
    failed: set[Spec] = set()
    for number in range(rounds):
        for spec in specs:
            if spec in failed:
                continue
            try:
                found = measure(spec)
            except CannotMeasure as reason:
                failed.add(spec)
                _note(f"{spec.variant}, {spec.old_tasks} old tasks: left out, {reason}")
                continue
            seen.setdefault((spec.variant, spec.old_tasks), []).append(found)
            _note(
                f"round {number + 1}: {spec.variant}, {spec.old_tasks} old tasks: "
                f"{np.median(found.times_ms):.1f} ms, {found.peak_mb:.0f} MB"
            )
        if after_round is not None:
            after_round(rows_of(seen))
    return rows_of(seen)


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def rows_of(seen: Seen) -> list[Row]:
    """Times of all rounds pooled; the largest peak of any round."""
    rows = []
    for (variant, old_tasks), found in seen.items():
        times = [t for m in found for t in m.times_ms]
        low, middle, high = np.quantile(times, (0.25, 0.5, 0.75))
        rows.append(
            Row(
                variant=variant,
                old_tasks=old_tasks,
                ms=float(middle),
                ms_q25=float(low),
                ms_q75=float(high),
                user_ms=mean(m.user_ms for m in found),
                system_ms=mean(m.system_ms for m in found),
                peak_mb=max(m.peak_mb for m in found),
                iterations=len(times),
            )
        )
    return rows


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.iteration_cost", description=__doc__)
    add = parser.add_argument
    add("--old-tasks", type=_numbers, default=(0, 1, 4, 9, 24, 49, 99), metavar="N,N,...")
    add("--variants", type=_variants, default=_DEFAULT_VARIANTS, help=",".join(VARIANTS))
    add("--benchmark", default="perm-mnist")
    add("--recipe", default="paper", help="of the benchmark: paper, paper-100, ...")
    add("--outputs", type=int, default=100, help="width of every head")
    add("--subset", type=int, default=32, help="old tasks that 'sampled' draws")
    add("--rows", type=int, default=2048, help="rows, (task, chunk), that 'rows' draws")
    add("--errors", type=int, default=0, metavar="N", help="also errors of N gradients drawn")
    add("--threads", type=int, default=1)
    add("--device", choices=("cpu", "cuda"), default="cpu")
    add("--iterations", type=int, default=20, help="timed in each measurement")
    add("--seconds", type=float, default=20, help="a measurement ends early after this time")
    add("--rounds", type=int, default=3)
    add("--here", action="store_true", help="no process for each: memory is not to be believed")
    add("--set", action="append", default=[], dest="assignments", metavar="SECTION.FIELD=VALUE")
    add("--json", type=Path, metavar="FILE", help="write the rows, after each round")
    add("--plot", type=Path, nargs="?", const=PLOT, metavar="FILE", help="SVG or PNG")
    return parser.parse_args(arguments)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _variants(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(VARIANTS):
        raise argparse.ArgumentTypeError(f"unknown {sorted(unknown)}; there are {list(VARIANTS)}")
    return names


def _specs(options: argparse.Namespace) -> list[Spec]:
    taken = ("benchmark", "recipe", "outputs", "subset", "rows")
    taken += ("threads", "device", "iterations", "seconds")
    common = {name: getattr(options, name) for name in taken}
    return [
        Spec(variant, old_tasks, **common, assignments=tuple(options.assignments))
        for old_tasks in options.old_tasks
        for variant in options.variants
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print the table, the ratios and what they were measured on."""
    options = _arguments(arguments)

    def save(rows: list[Row]) -> None:
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")

    way = measure if options.here else measure_apart
    rows = run(specs := _specs(options), options.rounds, way, save)
    print("\n".join([*table_lines(rows), "", *ratio_lines(rows), ""]))
    if options.errors:
        print("\n".join([*error_lines(specs, options.errors), ""]))
    asked = {name: getattr(options, name) for name in ("threads", "benchmark", "recipe")}
    print(json.dumps(environment() | asked))
    if options.plot:
        from benchmarks.plot import draw  # matplotlib is slow to import

        draw(rows, options.plot)


if __name__ == "__main__":
    main()
