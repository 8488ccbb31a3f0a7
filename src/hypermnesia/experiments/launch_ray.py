"""Trainings as tasks of a Ray cluster: a seed on any node, its files kept by the driver.

A node need not share a disk with the driver, the process of the command. A worker trains in a
folder of its own, as a local process does in the driver's, and sends back what it has written:
checkpoints as they are made, logs, and in the end the results. The driver alone writes run folders,
and starts a seed whose worker has died elsewhere, from the last checkpoint that it was sent.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hypermnesia import storage
from hypermnesia.errors import ConfigError, HypermnesiaError, RunError
from hypermnesia.registry import PLUGINS, plugin_environment

if TYPE_CHECKING:
    from hypermnesia.experiments.config import ExperimentConfig, MachineSettings
    from hypermnesia.experiments.launch import Job, Say
    from hypermnesia.training.observers import Observer

Files = dict[str, bytes]
"""Contents of files, by path within a run folder."""

Judge = Callable[["Job"], str | None]
"""Looks at the folder of a job at work; why it is to be stopped early, or None."""

_POLL_SECONDS = 0.2
_CRASHES = 3  # of workers of one seed, in a row, without a new checkpoint between them
_JOIN = "join it with `ray start --address=HOST:PORT --num-cpus=0`, or leave --address out"
_CONFIG, _ENVIRONMENT, _RESULT = "config.yaml", "environment.json", "result.json"


@dataclass(frozen=True)
class Parcel:
    """What a worker sends of a training.

    Attributes:
        said: lines about its progress.
        files: that are new or have changed, without checkpoints.
        step: of the checkpoint; None without one.
        checkpoint: its files.
        ended: whether this is the last.
        reason: why the training failed, if it did.
    """

    said: tuple[str, ...] = ()
    files: Files = field(default_factory=dict)
    step: int | None = None
    checkpoint: Files = field(default_factory=dict)
    ended: bool = False
    reason: str | None = None


def train_here(
    files: Files, seed: int, environment: Mapping[str, str], run: str = "run"
) -> Iterator[Parcel]:
    """Train a seed on this node, from files of its `run` folder; yield what it says and writes.

    This is what a worker does, which must have no other training. `environment` is added to that of
    the process.
    """
    os.environ.update(environment)
    with TemporaryDirectory(prefix="hypermnesia-", ignore_cleanup_errors=True) as place:
        folder = Path(place) / run
        for name, content in files.items():
            path = _inside(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        written, training = _Written(folder, seed), _Training(folder, seed)
        yield Parcel((f"on {socket.gethostname()}, process {os.getpid()}",))
        training.start()
        ended = False
        while not ended:
            training.join(_POLL_SECONDS)
            ended = not training.is_alive()
            said = tuple(training.said.popleft() for _ in range(len(training.said)))
            step, checkpoint = written.checkpoint()
            if said or step is not None or ended:
                # After the checkpoint: logs may be longer than it knows, never shorter.
                changed = written.changed()
                yield Parcel(said, changed, step, checkpoint, ended, training.reason)


class _Training(threading.Thread):
    """Trains a seed of the run in a folder; what it says, and why it failed."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self.folder, self.seed = folder, seed
        self.said: deque[str] = deque()
        self.reason: str | None = None

    def run(self) -> None:
        """Train, like the process of a local job: with one thread."""
        from hypermnesia.experiments.run import resume
        from hypermnesia.training.observers import LineProgress

        class Lines(LineProgress):
            def print(progress, line: str) -> None:
                self.said.append(line)

        def watch(config: ExperimentConfig, seed: int) -> Observer:
            return Lines(f"{config.method} seed {seed}")

        try:
            resume(self.folder, watch, {"threads": 1}, [self.seed])
        except HypermnesiaError as error:
            self.reason = f"error: {error}"
        except Exception as error:  # whatever a plug-in raises is of this training alone
            lines = traceback.format_exception_only(error)
            self.reason = lines[-1].strip()


class _Written:
    """The files of a training on a worker, and which of them have been sent."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed_folder = folder, folder / f"seed-{seed}"
        self._sent: dict[Path, tuple[int, int]] = {}
        self._step: int | None = None
        self.checkpoint(), self.changed()  # the driver has what is there by now

    def checkpoint(self) -> tuple[int | None, Files]:
        """Read the newest checkpoint, if it was not sent yet."""
        newest = newest_checkpoint(self.seed_folder)
        if newest is None or newest[0] == self._step:
            return None, {}
        self._step = newest[0]
        return newest

    def changed(self) -> Files:
        """Read what is new or has changed, without checkpoints."""
        found: Files = {}
        for path in [self.folder / _ENVIRONMENT, *_files(self.seed_folder)]:
            with suppress(FileNotFoundError):  # it has just been replaced
                status = path.stat()
                now = status.st_mtime_ns, status.st_size
                if self._sent.get(path) != now:
                    found[path.relative_to(self.folder).as_posix()] = path.read_bytes()
                    self._sent[path] = now
        return found


def _files(seed_folder: Path) -> Iterator[Path]:
    """The files of a seed that are complete, without checkpoints."""
    for place, folders, names in os.walk(seed_folder):  # passes over what has just gone
        folders[:] = sorted(n for n in folders if n != "checkpoints" and not n.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def newest_checkpoint(seed_folder: Path) -> tuple[int, Files] | None:
    """The step of the newest checkpoint of a seed, and its files by name; None without any."""
    from hypermnesia.training.checkpoint import path_of, steps_in

    folder = seed_folder / "checkpoints"
    for step in steps_in(folder):
        path = path_of(folder, step)
        with suppress(FileNotFoundError):  # a newer one has just come
            return step, {each.name: each.read_bytes() for each in path.iterdir()}
    return None


def _inside(folder: Path, name: str) -> Path:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise RunError("a file of a training must be in its folder", got=name)
    return folder / path


def to_send(job: Job) -> Files:
    """What a worker needs of a job's run folder: the configuration, and how far the seed is."""
    seed_folder = job.folder / f"seed-{job.seed}"
    found = {_CONFIG: (job.folder / _CONFIG).read_bytes()}
    if (newest := newest_checkpoint(seed_folder)) is None:
        return found
    step, checkpoint = newest
    place = f"{seed_folder.name}/checkpoints/step-{step:012d}"
    found |= {f"{place}/{name}": content for name, content in checkpoint.items()}
    for path in _files(seed_folder):
        found[path.relative_to(job.folder).as_posix()] = path.read_bytes()
    return found


def keep(job: Job, parcel: Parcel) -> None:
    """Write what a worker sent to a job's run folder: the result last, by which it is finished."""
    from hypermnesia.training.checkpoint import drop_others, path_of

    result = f"seed-{job.seed}/{_RESULT}"
    for name, content in parcel.files.items():
        if name != result:
            _write(_inside(job.folder, name), content)
    if parcel.step is not None:
        checkpoints = job.folder / f"seed-{job.seed}" / "checkpoints"
        with storage.os_errors_as_run_error(checkpoints, "checkpoints must be written"):
            storage.make_folder(checkpoints)
            storage.write_folder(path_of(checkpoints, parcel.step), parcel.checkpoint)
            drop_others(checkpoints, parcel.step)
    if result in parcel.files:
        _write(_inside(job.folder, result), parcel.files[result])


def _write(path: Path, content: bytes) -> None:
    with storage.os_errors_as_run_error(path.parent, "the run folder must be writable"):
        storage.make_folder(path.parent)
    storage.write_bytes(path, content)


def ray_package() -> Any:
    """The package ray; raises `ConfigError` without it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        hint = "pip install 'hypermnesia[ray]', or leave --launcher out"
        raise ConfigError("--launcher ray needs ray", got=str(error), hint=hint) from error
    return ray


def check_address(address: str) -> None:
    """Raise `ConfigError` for an address, HOST:PORT, where nobody listens; Ray waits for minutes.

    An empty one, and `auto` and `local`, are Ray's to look up.
    """
    if address in ("", "auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdigit():
        rule = "the command must run on a machine of the cluster, and name it as HOST:PORT"
        raise ConfigError(rule, got=address, hint=_JOIN)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        rule = "--address must be that of a Ray cluster"
        raise ConfigError(rule, got=f"{address}: {error}", hint=_JOIN) from error


@contextmanager
def cluster() -> Iterator[Any]:
    """The package ray, connected: to the cluster of RAY_ADDRESS, or of this machine, or a new one.

    A connection that is there already is used, and kept. Raises `ConfigError` where there is none.
    """
    ray = ray_package()
    check_address(os.environ.get("RAY_ADDRESS", ""))
    if ray.is_initialized():
        yield ray
        return
    handler = signal.getsignal(signal.SIGTERM)  # Ray sets one of its own
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        got = str(error).strip().partition("\n")[0]
        rule = "--address must be that of a Ray cluster which this machine has joined"
        raise ConfigError(rule, got=got, hint=_JOIN) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
    try:
        yield ray
    finally:
        ray.shutdown()


class RayLauncher:
    """Does jobs on a Ray cluster; see `Launcher`. At the same time as many as there are CPUs."""

    @staticmethod
    def check() -> None:
        """Raise `ConfigError` unless ray is installed, and its cluster where it should be."""
        ray_package()
        check_address(os.environ.get("RAY_ADDRESS", ""))

    def __call__(
        self, jobs: Sequence[Job], workers: int, say: Say, judge: Judge | None = None
    ) -> dict[Job, str]:
        """Do all `jobs`, at most `workers` at a time; those that failed, each with the reason.

        A job that `judge` stops early counts as failed, with the judge's reason.
        """
        from hypermnesia.training.loop import interrupt_on_sigterm

        with cluster() as ray, interrupt_on_sigterm():
            driver = _Driver(ray, jobs, say, judge)
            try:
                driver.work(max(1, workers))
            finally:
                driver.stop()
        return driver.failures


@dataclass
class _Task:
    """A job at work, and how often its workers have died since it last came on."""

    job: Job
    claim: ExitStack
    stream: Any = None
    crashes: int = 0


class _Driver:
    """Hands out jobs, keeps what comes back, and notes what failed."""

    def __init__(self, ray: Any, jobs: Sequence[Job], say: Say, judge: Judge | None) -> None:
        self._ray, self._say, self._judge = ray, say, judge
        self._waiting, self._total, self._done = deque(jobs), len(jobs), 0
        self._running: list[_Task] = []
        self.failures: dict[Job, str] = {}
        self._train = ray.remote(train_here)

    def work(self, workers: int) -> None:
        """Do all jobs, so many at a time."""
        while self._waiting or self._running:
            while self._waiting and len(self._running) < workers:
                self._begin(self._waiting.popleft())
            streams = [task.stream for task in self._running]
            ready = self._ray.wait(streams, num_returns=1, timeout=1.0)[0] if streams else ()
            for task in [task for task in self._running if any(task.stream is r for r in ready)]:
                self._take(task)

    def stop(self) -> None:
        """End the workers that are left."""
        for task in self._running:
            self._ray.cancel(task.stream, force=True)
            task.claim.close()

    def _begin(self, job: Job) -> None:
        from hypermnesia.experiments.run_folder import RunFolder

        with ExitStack() as stack:
            try:
                stack.enter_context(RunFolder(job.folder).claimed(job.seed))
            except HypermnesiaError as error:
                self._end(job, str(error))
                return
            task = _Task(job, stack.pop_all())
        self._running.append(task)
        self._hand_out(task)

    def _hand_out(self, task: _Task) -> None:
        from hypermnesia.experiments.run_folder import RunFolder

        machine = RunFolder(task.job.folder).read_config().machine
        options = {"num_returns": "streaming", "max_retries": 0, "scheduling_strategy": "SPREAD"}
        options |= {"num_cpus": 1, "num_gpus": int(machine.device == "cuda")}
        job = task.job
        arguments = to_send(job), job.seed, _environment(machine), job.folder.name
        task.stream = self._train.options(**options).remote(*arguments)

    def _take(self, task: _Task) -> None:
        """Keep what a worker has sent; note how it ended, if it has."""
        try:
            parcel: Parcel = self._ray.get(next(task.stream))
        except StopIteration:
            self._crashed(task, "the worker ended without a result")
        except self._ray.exceptions.RayTaskError as error:
            self._finish(task, f"the worker failed: {str(error).strip().splitlines()[-1]}")
        except self._ray.exceptions.RayError as error:
            self._crashed(task, type(error).__name__)
        else:
            self._keep(task, parcel)

    def _keep(self, task: _Task, parcel: Parcel) -> None:
        for line in parcel.said:
            self._say(f"{task.job}: {line}")
        try:
            keep(task.job, parcel)
        except HypermnesiaError as error:
            self._ray.cancel(task.stream, force=True)
            self._finish(task, str(error))
            return
        task.crashes = task.crashes if parcel.step is None else 0
        stop = None if self._judge is None else self._judge(task.job)
        if parcel.ended:
            self._finish(task, parcel.reason or _summed_up(task.job))
        elif stop is not None:
            self._ray.cancel(task.stream, force=True)
            self._finish(task, stop)

    def _crashed(self, task: _Task, reason: str) -> None:
        """Hand a job out anew, if that promises anything."""
        task.crashes += 1
        if task.crashes >= _CRASHES:
            self._finish(task, f"{reason}, {_CRASHES} times in a row")
            return
        self._say(f"{task.job}: {reason}; goes on from its last checkpoint")
        self._hand_out(task)

    def _finish(self, task: _Task, reason: str | None) -> None:
        self._running.remove(task)
        task.claim.close()
        self._end(task.job, reason)

    def _end(self, job: Job, reason: str | None) -> None:
        self._done += 1
        self.failures |= {} if reason is None else {job: reason}
        ending = "finished" if reason is None else f"failed: {reason}"
        self._say(f"[{self._done}/{self._total}] {job} {ending}")


def _environment(machine: MachineSettings) -> dict[str, str]:
    """What plug-ins and the loggers of a run read in the driver's environment."""
    from hypermnesia.experiments.run import LOGGERS, loggers_of

    loggers = (LOGGERS[name] for name in loggers_of(machine))
    begin = tuple(start for each in loggers for start in getattr(each, "environment", ()))
    found = {PLUGINS: plugin_environment()[PLUGINS]}
    found |= {name: value for name, value in os.environ.items() if name.startswith(begin)}
    return {name: value for name, value in found.items() if value}


def _summed_up(job: Job) -> str | None:
    """Write the summary over the finished seeds of a job's run; why that failed, or None."""
    from hypermnesia.experiments.results import summarize
    from hypermnesia.experiments.run_folder import RunFolder

    folder = RunFolder(job.folder)
    try:
        with folder.locked():
            summarize(folder, folder.read_config(), folder.finished_seeds())
    except HypermnesiaError as error:
        return str(error)
    return None


run_jobs = RayLauncher()
"""The launcher `ray`."""
