"""A small real run to break: how it is started, stopped and compared with one left in peace."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypermnesia.cli import main

NAME = "split-digits_hnet_task"
_COMMAND = [sys.executable, "-m", "hypermnesia"]
_RUN = [
    *("run", "split-digits", "--seeds", "0-1", "--threads", "1"),
    *("--set", "train.iterations=100"),
    *("--set", "train.checkpoint_seconds=0.05"),
]


class LostError(AssertionError):
    """A fault cost a figure, an earlier result, or more than one line of explanation."""


def require(holds: bool, promise: str, got: object = "") -> None:
    """Raise `LostError` unless the promise `holds`."""
    if not holds:
        raise LostError(f"{promise}; got {got}")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: its exit code; minus the number of a signal that ended it.
        errors: what it wrote to stderr.
    """

    code: int
    errors: str

    def refused(self, about: str = "") -> None:
        """It must have ended with an error of one line, about `about`."""
        last = (self.errors.splitlines() or [""])[-1]
        told = self.code == 2 and last.startswith("error: ") and about in last
        require(told and "Traceback" not in self.errors, f"an error about '{about}'", self)

    def succeeded(self) -> None:
        """It must have ended well."""
        require(self.code == 0, "an end without an error", self)


class Lab:
    """Runs in folders of their own, one of them left in peace.

    Args:
        root: where they go.
        seed: of the moments and places at which things break.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.moment = root, random.Random(seed)  # noqa: S311
        self._tries = 0
        whole = self.new()
        self.here(*_RUN, "--out", str(whole)).succeeded()
        self.whole = self.figures(whole)
        self.cut = self._cut()

    def new(self) -> Path:
        """A folder for run folders."""
        self._tries += 1
        folder = self.root / f"try-{self._tries}"
        folder.mkdir(parents=True)
        return folder

    def clear(self) -> None:
        """Remove the folders of the tries so far."""
        for folder in self.root.glob("try-*"):
            if folder != self.cut:
                shutil.rmtree(folder)

    def _cut(self) -> Path:
        """A run that was killed in its second seed, with two checkpoints to go on from."""
        folder = self.new()
        process = self.start(folder)
        while process.poll() is None and len(self.seen(folder, 1)) < 2:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        require((folder / NAME / "seed-0/result.json").is_file(), "a first seed that is finished")
        require(len(self.checkpoints(folder)) >= 2, "two checkpoints")
        return folder

    def broken(self) -> Path:
        """A copy of the run that was killed in its second seed."""
        folder = self.new()
        shutil.copytree(self.cut, folder, dirs_exist_ok=True)
        return folder

    def begun(self, folder: Path) -> bool:
        """Whether there is something to resume."""
        return (folder / NAME / "config.yaml").exists()

    def arguments(self, folder: Path) -> list[str]:
        """What a user types to begin, or to go on."""
        if self.begun(folder):
            return ["resume", str(folder / NAME)]
        return [*_RUN, "--out", str(folder)]

    def start(self, folder: Path, limit: Callable[[], None] | None = None) -> subprocess.Popen[str]:
        """A process that begins the run or goes on; `limit` is called in it first."""

        def prepare() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a background shell ignores
            if limit is not None:
                limit()

        return subprocess.Popen(
            [*_COMMAND, *self.arguments(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=prepare,
            # A measurement of coverage would write files of its own, past the fault.
            env={k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")},
        )

    def there(self, folder: Path, limit: Callable[[], None] | None = None) -> Ended:
        """Begin or go on, in a process of its own, to the end."""
        process = self.start(folder, limit)
        _, errors = process.communicate(timeout=600)
        return Ended(process.returncode, errors)

    def here(self, *arguments: str) -> Ended:
        """A command in this very process: many times as fast."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            code = main(arguments)
        return Ended(code, errors.getvalue())

    def resumed(self, folder: Path) -> Ended:
        """Go on, in this very process."""
        return self.here(*self.arguments(folder))

    def same(self, folder: Path) -> None:
        """The run in `folder`, now finished, must have the figures of the one left in peace."""
        found = self.figures(folder)
        for name, expected in self.whole.items():
            require(found.get(name) == expected, f"the same {name}", folder)

    def first_seed_intact(self, folder: Path) -> None:
        """The results of the seed that was finished before the fault must be as they were."""
        for path in (self.cut / NAME / "seed-0").glob("*.*"):
            there = folder / NAME / "seed-0" / path.name
            require(there.read_bytes() == path.read_bytes(), "an earlier result intact", there)

    def checkpoints(self, folder: Path) -> list[Path]:
        """Those of the second seed, newest first."""
        return sorted((folder / NAME / "seed-1/checkpoints").glob("step-*"), reverse=True)

    def figures(self, folder: Path) -> Mapping[str, object]:
        """Everything that must not depend on faults: all but times and memory."""
        run = folder / NAME
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

    def wait_for_progress(self, process: subprocess.Popen[str], folder: Path) -> None:
        """Until a new checkpoint appears, or the process ends."""
        before = self.seen(folder, 0) | self.seen(folder, 1)
        while process.poll() is None and self.seen(folder, 0) | self.seen(folder, 1) <= before:
            time.sleep(0.01)

    def seen(self, folder: Path, seed: int) -> set[str]:
        """The checkpoints of a seed that is being trained."""
        place = folder / NAME / f"seed-{seed}/checkpoints"
        names = os.listdir(place) if place.exists() else ()
        return {f"{seed}/{name}" for name in names if name.startswith("step-")}


def file_limit(size: int) -> Callable[[], None]:
    """Let no file of the process grow beyond `size` bytes, as if the disk were full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
