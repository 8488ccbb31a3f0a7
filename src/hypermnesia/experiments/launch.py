"""Trainings in processes with one thread each, from which networks of these sizes gain most."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypermnesia.registry import Registry, must_be, plugin_environment
from hypermnesia.training.loop import interrupt_on_sigterm

Say = Callable[[str], None]
_GRACE_SECONDS = 10.0
_PIPES: Any = dict.fromkeys(("stdin", "stdout"), subprocess.DEVNULL)
_PIPES |= {"stderr": subprocess.PIPE, "text": True, "errors": "replace"}


@dataclass(frozen=True)
class Job:
    """One seed of the run in a folder, which holds its configuration."""

    folder: Path
    seed: int

    def __str__(self) -> str:
        return f"{self.folder.name} seed {self.seed}"

    def command(self) -> list[str]:
        """The command line of its process."""
        chosen = ["--seeds", str(self.seed), "--threads", "1"]
        return [sys.executable, "-m", "hypermnesia", "resume", str(self.folder.absolute()), *chosen]


def cores() -> int:
    """Number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux, where a container may have some only
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def run_jobs(jobs: Sequence[Job], workers: int, say: Say) -> dict[Job, str]:
    """Do all `jobs` (each another folder or seed), `workers` at a time; see `Launcher`.

    An interrupt, or a request to terminate, ends every process; what they had saved is kept.
    """
    failures: dict[Job, str] = {}
    children = _Children(say)
    with interrupt_on_sigterm(), ThreadPoolExecutor(max(1, workers)) as pool:
        futures = {pool.submit(children.do, job): job for job in jobs}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                job, reason = futures[future], future.result()
                failures |= {} if reason is None else {job: reason}
                ending = "finished" if reason is None else f"failed: {reason}"
                say(f"[{done}/{len(jobs)}] {job} {ending}")
        except BaseException:
            children.stop()
            raise
    return failures


class _Children:
    """The processes that run, and those that may still be started."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def do(self, job: Job) -> str | None:
        """Start the process of `job` and wait for it; why it failed, or None."""
        with self._lock:
            if self._stopped:
                return "not started"
            process = subprocess.Popen(job.command(), env=plugin_environment(), **_PIPES)  # noqa: S603 - Python, no shell
            self._running.add(process)
        last = ""
        with process:
            for line in process.stderr or ():
                last = line.strip() or last
                if not self._stopped:
                    self._say(f"{job.folder.name}: {line.rstrip()}")
        with self._lock:
            self._running.discard(process)
        if process.returncode < 0:
            return f"ended by signal {-process.returncode}"
        return None if process.returncode == 0 else last or f"exit code {process.returncode}"

    def stop(self) -> None:
        """End every process and start no other one."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


Launcher = Callable[[Sequence[Job], int, Say], dict[Job, str]]
"""Does jobs, so many at a time, and gives those that failed, each with the reason.

One that has no command line does a job by `hypermnesia.experiments.run.resume`.
"""

LAUNCHERS: Registry[Launcher] = Registry("launcher", "launchers", must_be("a function"))
LAUNCHERS.add("local", run_jobs)
LAUNCHERS.add("ray", "hypermnesia.experiments.launch_ray:run_jobs")
