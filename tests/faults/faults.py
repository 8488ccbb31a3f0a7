"""The faults. Each function is one try: it says what became of the run, or raises `LostError`."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from lab import NAME, Ended, Lab, file_limit, require

SAME = "same figures after resume"
MENDED = "one-line error, earlier results intact; same figures once mended"
Fault = Callable[[Lab], list[str]]
FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Fault], Fault]:
    """Add a fault to the list under the name that the report shows."""

    def added(function: Fault) -> Fault:
        FAULTS[name] = function
        return function

    return added


def _at_a_moment(lab: Lab, process: subprocess.Popen[str], folder: Path) -> None:
    """Wait for any moment of the process: mostly in training, sometimes before or after."""
    if lab.moment.random() < 0.75:
        lab.wait_for_progress(process, folder)
        time.sleep(lab.moment.uniform(0, 0.4))
    else:
        time.sleep(lab.moment.uniform(0, 4))


def _interrupted(lab: Lab, number: int, codes: set[int]) -> list[str]:
    """One run, interrupted twice, unless it comes to its end before."""
    folder, hits = lab.new(), 0
    for _ in range(2):
        process = lab.start(folder)
        _at_a_moment(lab, process, folder)
        process.send_signal(number)
        _, errors = process.communicate(timeout=600)
        hits += process.returncode != 0
        require(
            process.returncode in codes, f"an exit code of {codes}", (process.returncode, errors)
        )
    lab.there(folder).succeeded()
    lab.same(folder)
    return [SAME] * hits


@fault("kill -9 at a random instant")
def killed(lab: Lab) -> list[str]:
    return _interrupted(lab, signal.SIGKILL, {0, -signal.SIGKILL})


@fault("SIGTERM at a random instant (exit code 143)")
def terminated(lab: Lab) -> list[str]:
    # -15 while Python itself is starting: a shell shows 143 for both.
    return _interrupted(lab, signal.SIGTERM, {0, 143, -signal.SIGTERM})


@fault("SIGINT (Ctrl-C) at a random instant (exit code 130)")
def ctrl_c(lab: Lab) -> list[str]:
    return _interrupted(lab, signal.SIGINT, {0, 130, -signal.SIGINT})


def _mended(lab: Lab, folder: Path, ended: Ended, about: str) -> list[str]:
    """The command was refused, and goes on once its cause is gone."""
    ended.refused(about)
    if (folder / NAME / "seed-0/result.json").exists():
        lab.first_seed_intact(folder)
    lab.resumed(folder).succeeded()
    lab.same(folder)
    return [MENDED]


@fault("no room for a file (limit on its size)")
def full_disk_by_limit(lab: Lab) -> list[str]:
    folder = lab.broken() if lab.moment.random() < 0.5 else lab.new()
    largest = max(path.stat().st_size for path in lab.cut.rglob("*") if path.is_file())
    ended = lab.there(folder, file_limit(lab.moment.randrange(largest)))
    return _mended(lab, folder, ended, "File too large")


@contextlib.contextmanager
def _mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def can_mount() -> bool:
    """Whether this process may mount file systems."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


def full_disk(lab: Lab) -> list[str]:
    with _mounted(lab.new() / "disk", f"size={lab.moment.randint(64, 1500)}k") as folder:
        ended = lab.there(folder)
        if ended.code != 0:
            ended.refused("No space left on device")
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
        lab.resumed(folder).succeeded()
        lab.same(folder)
    return [SAME if ended.code == 0 else MENDED]


def read_only(lab: Lab) -> list[str]:
    with _mounted(lab.new() / "disk", "size=64m") as folder:
        shutil.copytree(lab.cut, folder, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        ended = lab.resumed(folder)
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        return _mended(lab, folder, ended, "Read-only file system")


def forbidden(lab: Lab) -> list[str]:
    folder = lab.broken()
    places = [path for path in (folder / NAME).rglob("*") if path.is_dir()]
    place = lab.moment.choice([folder / NAME, *(p for p in places if "seed-0" not in p.parts)])
    place.chmod(0o555)
    try:
        ended = lab.resumed(folder)
    finally:
        place.chmod(0o755)
    return _mended(lab, folder, ended, "Permission denied")


if can_mount():
    fault("disk full (a small tmpfs)")(full_disk)
    fault("file system read-only")(read_only)
else:
    fault("folder read-only")(forbidden)


@fault("the clock jumps, back and forth")
def jumping_clock(lab: Lab) -> list[str]:
    """Calendar time jumps by years either way, monotonic time ahead, file times too."""
    folder, ahead, real = lab.broken(), 0.0, time.monotonic
    for path in folder.rglob("*"):
        at = lab.moment.uniform(0, 2**32)
        os.utime(path, (at, at))

    def calendar() -> float:
        return lab.moment.uniform(0, 2**32)

    def monotonic() -> float:
        nonlocal ahead
        ahead += lab.moment.choice([0.0, 0.0, 0.0, 3600.0])
        return real() + ahead

    class Jumping(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.fromtimestamp(calendar(), tz)

    with (
        mock.patch("time.time", calendar),
        mock.patch("time.monotonic", monotonic),
        mock.patch("datetime.datetime", Jumping),
    ):
        ended = lab.resumed(folder)
    ended.succeeded()
    lab.same(folder)
    return [SAME]


def _truncated(lab: Lab, path: Path) -> None:
    os.truncate(path, lab.moment.randrange(path.stat().st_size))


def _flipped(lab: Lab, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[lab.moment.randrange(len(content))] ^= 1 << lab.moment.randrange(8)
    path.write_bytes(content)


def _gone(_lab: Lab, path: Path) -> None:
    path.unlink()


def _of_another_run(lab: Lab, path: Path) -> None:
    """The newest checkpoint of the other seed: whole, and not this one's."""
    *_, other = sorted((lab.cut / NAME / "seed-0/checkpoints").glob("step-*"))
    shutil.copytree(other, path.parent, dirs_exist_ok=True)


def _damaged(damage: Callable[[Lab, Path], None]) -> Fault:
    """Damage to the newest checkpoint, or to all of them."""

    def newest_or_all(lab: Lab) -> list[str]:
        folder, everything = lab.broken(), lab.moment.random() < 0.5
        checkpoints = lab.checkpoints(folder)
        kept = {path: lab.new() for path in checkpoints}
        for path, place in kept.items():
            shutil.copytree(path, place, dirs_exist_ok=True)
        for path in checkpoints if everything else checkpoints[:1]:
            damage(lab, path / lab.moment.choice(["tensors.safetensors", "state.json"]))
        ended = lab.resumed(folder)
        if not everything:
            ended.succeeded()
            lab.same(folder)
            return [SAME]
        ended.refused("a run goes on from a checkpoint of its own that is whole")
        for path, place in kept.items():
            shutil.copytree(place, path, dirs_exist_ok=True)
        return _mended(lab, folder, ended, "restore the folder from a copy")

    return newest_or_all


fault("checkpoint truncated")(_damaged(_truncated))
fault("checkpoint with a flipped bit")(_damaged(_flipped))
fault("checkpoint without one of its files")(_damaged(_gone))
fault("checkpoint swapped with another run's")(_damaged(_of_another_run))


def _of_format(version: int) -> Fault:
    def relabelled(lab: Lab) -> list[str]:
        folder = lab.broken()
        path = lab.checkpoints(folder)[0] / "state.json"
        good = path.read_bytes()
        body = json.loads(good) | {"format": version}
        del body["sha256"]
        text = json.dumps(body, sort_keys=True, separators=(",", ":"))
        body["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        path.write_text(json.dumps(body))
        ended = lab.resumed(folder)
        path.write_bytes(good)
        return _mended(lab, folder, ended, "resume with the version of Hypermnesia that wrote it")

    return relabelled


fault("checkpoint of an earlier format version")(_of_format(1))
fault("checkpoint of a later format version")(_of_format(5))


@fault("a second process on the same run; the first then killed")
def two_processes(lab: Lab) -> list[str]:
    folder = lab.new()
    first = lab.start(folder)
    while first.poll() is None and not lab.seen(folder, 0):
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # it holds its locks, and cannot finish meanwhile
    second = lab.resumed(folder)
    first.kill()
    first.communicate()
    return _mended(lab, folder, second, "serves one process at a time")
