"""Hundreds of tasks in one run: `python tests/faults/long_run.py > table.md`.

The command that a user would type, once in peace and once killed (kill -9) late and resumed. A
Markdown table shows resident memory and time an iteration on the way, by the clock and of the
processor, which others may use meanwhile; the exit code is 1 if the second run ends with other
figures than the first.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from pace import ROOM, pace

from hypermnesia.experiments.doctor import environment

_LEARNED = re.compile(r"task (\d+) learned")
_RESIDENT = re.compile(r"VmRSS:\s+(\d+) kB")
_FIGURES = ("accuracy_matrix_task.csv", "metrics.jsonl", "weights.safetensors")
_WINDOW = 10


def command(tasks: int, iterations: int) -> list[str]:
    """What a user types."""
    settings = ["--set", ROOM, "--set", f"train.iterations={iterations}"]
    return ["run", "perm-digits", "--tasks", str(tasks), *settings, "--threads", "1"]


def followed(arguments: list[str], kill_at: int | None = None) -> dict[int, float]:
    """Resident MB when each task was learned, of a process that is killed after one of them."""
    resident: dict[int, float] = {}
    program = [sys.executable, "-m", "hypermnesia", *arguments]
    with subprocess.Popen(
        program, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stderr or ():
            if learned := _LEARNED.search(line):
                task = int(learned[1])
                status = _RESIDENT.search(Path(f"/proc/{process.pid}/status").read_text())
                if status is not None:  # it may have ended meanwhile
                    resident[task] = int(status[1]) * 1024 / 1e6
                if task == kill_at:
                    time.sleep(0.1)  # within the next task
                    process.kill()
    return resident


def digests(seed: Path) -> dict[str, str]:
    """Checksums of all that a fault must not change."""
    return {name: hashlib.sha256((seed / name).read_bytes()).hexdigest() for name in _FIGURES}


def table(resident: dict[int, float], seconds: list[float], paces: dict[int, float]) -> str:
    """Memory at some tasks, and time an iteration around them (median of 2 x 10 tasks)."""
    rows = ["| task | resident, MB | ms an iteration | CPU ms |", "|---:|---:|---:|---:|"]
    for task, processor in paces.items():
        around = seconds[max(0, task - _WINDOW) : task + _WINDOW]
        milliseconds = 1000 * statistics.median(around)
        memory = resident.get(task, resident[max(resident)])
        rows.append(f"| {task} | {memory:.0f} | {milliseconds:.1f} | {processor:.1f} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--iterations", type=int, default=20, help="of each task")
    parser.add_argument("--kill-at", type=int, default=250, help="task after which to kill")
    parser.add_argument("--at", type=int, nargs="*", default=[20, 100, 200, 300], help="tasks")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        arguments = [*command(chosen.tasks, chosen.iterations), "--out", root, "--name"]
        resident = followed([*arguments, "whole"])
        followed([*arguments, "cut"], chosen.kill_at)
        unfinished = not (Path(root) / "cut/seed-0/result.json").exists()
        again = followed(["resume", str(Path(root) / "cut")])
        whole, cut = (Path(root) / name / "seed-0" for name in ("whole", "cut"))
        seconds = json.loads((whole / "result.json").read_text())["seconds_per_iteration"]
        same = digests(whole) == digests(cut)
    machine = environment()
    print(table(resident, seconds, pace(chosen.tasks, chosen.at)))
    print(
        f"\nKilled after task {chosen.kill_at}: {unfinished}; resumed with task "
        f"{min(again, default=None)} learned next; the same figures, weights and log: {same}.\n\n"
        f"`{Path(sys.argv[0]).as_posix()} {' '.join(sys.argv[1:])}`, commit {machine['commit']}, "
        f"torch {machine['torch']}, {machine['platform']}, {machine['cpu']}"
    )
    return 0 if same and unfinished else 1


if __name__ == "__main__":
    sys.exit(main())
