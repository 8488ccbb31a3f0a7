"""`kill -9` at random moments, resumed each time, ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "hypermnesia"]
RUN = [
    "run",
    "split-digits",
    "--seeds",
    "0-1",
    "--threads",
    "1",
    *("--set", "train.iterations=250"),
    *("--set", "train.checkpoint_seconds=0.05"),
]


def start(folder: Path, *, again: bool) -> subprocess.Popen[bytes]:
    arguments = (
        ["resume", str(folder / "split-digits_hnet_task")]
        if again
        else [*RUN, "--out", str(folder)]
    )
    return subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def finish(folder: Path, *, again: bool) -> None:
    process = start(folder, again=again)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


def wait_for_progress(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until a new checkpoint appears, or the process ends."""

    def seen() -> set[str]:
        return {str(path) for path in folder.rglob("checkpoints/*")}

    before = seen()
    while process.poll() is None and seen() <= before:
        time.sleep(0.01)


def kill(folder: Path, moment: random.Random, *, again: bool) -> int | None:
    """Kill a run at its start, or some time after it made progress; the exit code."""
    process = start(folder, again=again)
    if moment.random() < 0.75:
        wait_for_progress(process, folder)
        time.sleep(moment.uniform(0, 0.4))
    else:
        time.sleep(moment.uniform(0, 4))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode


def figures(folder: Path) -> dict[str, object]:
    """Everything that must not depend on the interruptions: all but times and memory."""
    run = folder / "split-digits_hnet_task"
    summary = json.loads((run / "summary.json").read_text())
    result: dict[str, object] = {key: summary[key] for key in ("scenarios", "compression")}
    for path in sorted(run.rglob("accuracy_matrix_task.csv")):
        result[str(path.relative_to(run))] = path.read_text()
    for path in sorted(run.rglob("weights.safetensors")):
        result[str(path.relative_to(run))] = hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(run.rglob("metrics.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        result[str(path.relative_to(run))] = lines
    return result


def test_killed_and_resumed_runs_end_as_uninterrupted_ones(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    seed = 2026
    moment = random.Random(seed)  # noqa: S311
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finish(whole, again=False)
    codes = []
    for _ in range(request.config.getoption("--kills")):
        again = (broken / "split-digits_hnet_task" / "config.yaml").exists()
        codes.append(kill(broken, moment, again=again))
    finish(broken, again=True)
    print(f"seed {seed}: exit codes {codes}")
    assert set(codes) <= {0, -signal.SIGKILL}, codes  # no run ended with an error
    assert codes.count(-signal.SIGKILL) >= len(codes) // 2, codes
    assert figures(broken) == figures(whole)
