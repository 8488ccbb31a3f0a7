"""Every target for so many CPU minutes: `python fuzz/campaign.py --minutes 10 > table.md`.

Needs the extra `fuzz` (atheris). New inputs go to `build/fuzz/TARGET`. What crashes or hangs goes
to `build/fuzz/TARGET-found` and makes the exit code 1: put it into `fuzz/corpus/TARGET`, where the
tests find it.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build" / "fuzz"
_STAT = re.compile(r"stat::(\w+):\s+(\d+)")


@dataclass(frozen=True)
class Row:
    """What became of a target."""

    target: str
    executions: int
    minutes: float
    slowest: int
    memory: int
    found: int


def fuzzed(target: str, minutes: float) -> Row:
    """The target fuzzed for so many minutes of a processor, which others may use meanwhile."""
    new, found = BUILD / target, BUILD / f"{target}-found"
    for folder in (new, found):
        folder.mkdir(parents=True, exist_ok=True)
    executions = slowest = memory = 0
    begun, failed = _processor_seconds(), False
    while (left := 60 * minutes - (_processor_seconds() - begun)) >= 1 and not failed:
        stats, failed = _slice(target, left, new, found)
        executions += stats.get("number_of_executed_units", 0)
        slowest = max(slowest, stats.get("slowest_unit_time_sec", 0))
        memory = max(memory, stats.get("peak_rss_mb", 0))
    used = (_processor_seconds() - begun) / 60
    count = len(list(found.iterdir())) or int(failed)
    return Row(target, executions, used, slowest, memory, count)


def _slice(target: str, seconds: float, new: Path, found: Path) -> tuple[dict[str, int], bool]:
    """libFuzzer's figures after so many seconds by the clock, and whether it gave up."""
    options = [
        f"-max_total_time={math.ceil(seconds)}",
        *("-timeout=20", "-rss_limit_mb=2048", "-malloc_limit_mb=1024", "-max_len=16384"),
        *("-print_final_stats=1", f"-artifact_prefix={found}/"),
    ]
    done = subprocess.run(
        [sys.executable, HERE / "harness.py", target, *options, new, HERE / "corpus" / target],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        errors="replace",
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    (BUILD / f"{target}.log").write_text(done.stderr)
    return {name: int(value) for name, value in _STAT.findall(done.stderr)}, done.returncode != 0


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Fuzz what the options say, and print a Markdown table."""
    names = sorted(path.name for path in (HERE / "corpus").iterdir())
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="of a processor, for each target"
    )
    parser.add_argument("--only", nargs="*", default=names, choices=names, help="targets")
    chosen = parser.parse_args()
    print("| parser | inputs tried | CPU minutes | slowest, s | memory, MB | crashes or hangs |")
    print("|---|---:|---:|---:|---:|---:|")
    rows = []
    for target in chosen.only:
        row = fuzzed(target, chosen.minutes)
        rows.append(row)
        print(
            f"| {row.target} | {row.executions:,} | {row.minutes:.1f} | {row.slowest} | "
            f"{row.memory} | {row.found} |",
            flush=True,
        )
    return 1 if any(row.found for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
