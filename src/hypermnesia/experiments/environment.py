"""What a run ran on: versions, commit and machine."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypermnesia import __version__

_CHECKOUT = Path(__file__).resolve().parents[3]


def environment() -> dict[str, Any]:
    """The facts that `environment.json` holds."""
    return {
        "hypermnesia": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _commit() -> str | None:
    """The commit of the checkout that the library runs from, `+changes` if it was edited."""
    git = shutil.which("git")
    if git is None or not (_CHECKOUT / ".git").exists():
        return None

    def output(*arguments: str) -> str:
        command = [git, "-C", str(_CHECKOUT), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
        return done.stdout.strip()

    try:
        changed = output("status", "--porcelain", "--untracked-files=no")
        return output("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        name = next(line for line in lines if line.startswith("model name"))
        return name.partition(":")[2].strip()
    except (OSError, StopIteration):
        return platform.processor()
