"""What a run ran on: versions, commit and machine."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hypermnesia import __version__
from hypermnesia.durable import read_json, write_json

_CHECKOUT = Path(__file__).resolve().parents[3]


_log = logging.getLogger(__name__)
_MAY_CHANGE_NUMBERS = ("device", "torch")


def environment(device: torch.device | None = None) -> dict[str, Any]:
    """The facts that `environment.json` holds; `device` is where the training happens."""
    return {
        "device": None if device is None else device.type,
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


def note_environment(path: Path, now: Mapping[str, Any]) -> None:
    """Store what a training begins on; what it goes on with is added under `continued`.

    A continuation on another type of device, or by another version of torch, is warned about.
    """
    if not path.is_file():
        write_json(path, now)
        return
    stored = read_json(path)
    *_, last = [stored, *_continuations(stored)]
    for name in _MAY_CHANGE_NUMBERS:
        if last.get(name) != now[name]:
            _log.warning(
                "%s: went on with %s %s where it had %s, which may change numbers",
                path.parent,
                name,
                now[name],
                last.get(name),
            )
    if any(last.get(name) != value for name, value in now.items()):
        write_json(path, {**stored, "continued": [*_continuations(stored), now]})


def _continuations(stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = stored.get("continued", [])
    entries = found if isinstance(found, list) else []
    return [entry for entry in entries if isinstance(entry, dict)]


def _commit() -> str | None:
    """The commit of the checkout that the library runs from, `+changes` if it was edited."""
    git = shutil.which("git")
    if git is None or not (_CHECKOUT / ".git").exists():
        return None

    def output(*arguments: str) -> str:
        command = [git, "-C", str(_CHECKOUT), *arguments]
        done = subprocess.run(  # noqa: S603 - git by its full path, and no shell
            command, capture_output=True, text=True, check=True, timeout=10
        )
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
