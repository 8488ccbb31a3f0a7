"""`benchmarks/gpu.sh`: tried on a CPU, and its bookkeeping with an idle interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.sh"
PARTS = ["tests", "cost-p10", "cost-p100", "floors", "p10-1", "cost-resnet", "resnet"]

IDLE = """#!/bin/sh
case "$*" in
  *is_available*) echo True ;;
  *roofline*) echo no rates >&2; exit 3 ;;
  *) echo 1 ;;
esac
"""


def called(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"} | environment
    command = ["bash", str(SCRIPT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_every_part_runs_and_is_then_skipped(tmp_path: Path) -> None:
    shown = called("--dry", str(tmp_path))
    logs = [file.read_text()[-500:] for file in (tmp_path / "parts").glob("*.log")]
    assert shown.returncode == 0, (shown.stdout, shown.stderr, logs)
    assert [f"{name}: finished" in shown.stdout for name in PARTS] == [True] * len(PARTS)
    summary = (tmp_path / "summary.txt").read_text()
    assert "| closed | 1 |" in summary
    assert "floor by bytes" in summary
    again = called("--dry", PYTHON=idle(tmp_path), OUT=str(tmp_path))
    assert again.stdout.count("finished before") == len(PARTS)


def test_what_fails_or_has_no_data_does_not_end_it(tmp_path: Path) -> None:
    fake = {"PYTHON": idle(tmp_path), "HYPERMNESIA_DATA": ""}
    shown = called(str(tmp_path / "first"), **fake)
    assert shown.returncode == 1
    assert "floors: failed with 3: no rates" in shown.stdout
    assert "has no mnist: P10, all methods" in shown.stdout
    assert "has no cifar-10-batches-bin: ResNet-32" in shown.stdout
    moved = tmp_path / "second"
    moved.mkdir()
    (tmp_path / "first" / "gpu.tar.gz").rename(moved / "gpu.tar.gz")
    assert called(str(moved), **fake).stdout.count("finished before") == 3


def test_it_says_what_it_does() -> None:
    assert "benchmarks/gpu.sh [--dry] [FOLDER]" in called("--help").stdout


def idle(folder: Path) -> str:
    interpreter = folder / "python"
    interpreter.write_text(IDLE)
    interpreter.chmod(0o755)
    return str(interpreter)
