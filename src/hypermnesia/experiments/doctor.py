"""What a machine offers: versions, devices, rates, data and extras, found without changing it."""

from __future__ import annotations

import logging
import math
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from itertools import chain, product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from packaging.requirements import Requirement

from hypermnesia import __version__
from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.data.datasets import SOURCES
from hypermnesia.data.download import cache_folder, given_folder
from hypermnesia.experiments.launch import cores
from hypermnesia.storage import read_json, write_json

_OWN = "hypermnesia"
_CHECKOUT = Path(__file__).resolve().parents[3]
_CPUINFO, _MEMINFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_MAY_CHANGE_NUMBERS = ("device", "torch")
_FORMATS = {"float32": torch.float32, "bf16": torch.bfloat16}
_SIDE = {"cpu": 512, "cuda": 4096}  # of the matrices; smaller ones leave a GPU idle
_BUDGET = 0.25  # seconds for each format

_log = logging.getLogger(__name__)


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
        "cpu": _value(_CPUINFO, "model name") or platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def note_environment(path: Path, now: Mapping[str, Any]) -> None:
    """Store what a training begins on, under `continued` what it goes on with; warn of a change."""
    if not path.is_file():
        write_json(path, now)
        return
    stored = read_json(path)
    found = stored.get("continued")
    notes = found if isinstance(found, list) else []
    continued = [each for each in notes if isinstance(each, dict)]
    last = [stored, *continued][-1]
    for name in _MAY_CHANGE_NUMBERS:
        if (before := last.get(name)) != now[name]:
            change = f"went on with {name} {now[name]} where it had {before}"
            _log.warning("%s: %s, which may change numbers", path.parent, change)
    if any(last.get(name) != now.get(name) for name in {*last, *now} - {"continued"}):
        write_json(path, {**stored, "continued": [*continued, now]})


def _commit() -> str | None:
    """The commit of the checkout that the library runs from, `+changes` if it was edited."""
    git = shutil.which("git")
    if git is None or not (_CHECKOUT / ".git").exists():
        return None
    command = [git, "-C", str(_CHECKOUT), "describe", "--always", "--abbrev=40", "--exclude=*"]
    quiet: Any = {"stderr": subprocess.DEVNULL, "text": True, "timeout": 10}
    try:
        found = subprocess.check_output([*command, "--dirty=+changes"], **quiet)  # noqa: S603
        return str(found).strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _value(file: Path, name: str) -> str | None:
    """What a file of the system says of `name`, if there is one."""
    with suppress(OSError):
        lines = (line.partition(":") for line in file.read_text("utf-8").splitlines())
        return next((value.strip() for key, _, value in lines if key.strip() == name), None)
    return None


def seconds_of(action: Callable[[], object], repeats: int = 7, budget: float = math.inf) -> float:
    """The shortest time of `repeats` actions after a first one; none begins beyond `budget` s."""
    begun = time.perf_counter()
    action()
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        best = min(best, (end := time.perf_counter()) - start)
        if end - begun >= budget:
            break
    return best


def product_rate(
    m: int, k: int, n: int, dtype: torch.dtype, device: torch.device | None = None, **timing: Any
) -> float:
    """Operations a second of (m, k) times (k, n), two for product and sum; see `seconds_of`."""
    a = torch.rand(m, k, device=device).to(dtype)
    b = torch.rand(k, n, device=device).to(dtype)
    out = torch.empty(m, n, dtype=dtype, device=device)

    def action() -> None:
        torch.mm(a, b, out=out)
        if out.is_cuda:
            torch.cuda.synchronize(out.device)

    return 2 * m * k * n / seconds_of(action, **timing)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread of the CPU within the block: others would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Memory:
    """Bytes of the machine or container, and what programs can have without swapping, if known."""

    total: int | None
    available: int | None


@dataclass(frozen=True)
class Rate:
    """Operations a second of a device (torch's name; one core of the CPU); None if it cannot."""

    device: str
    format: str
    per_second: float | None


@dataclass(frozen=True)
class DataFound:
    """What of a data set is not in the `folder` of runs; None for one inside a package."""

    name: str
    folder: str | None
    missing: tuple[str, ...]
    cached: bool


@dataclass(frozen=True)
class Readiness:
    """The incomplete data sets of a benchmark, or missing packages of an extra, by its name."""

    name: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What was found; `environment` is as in a run's file, `data_folder` None for the cache."""

    environment: dict[str, Any]
    usable_cores: int
    memory: Memory
    rates: tuple[Rate, ...]
    data_folder: str | None
    data: tuple[DataFound, ...]
    benchmarks: tuple[Readiness, ...]
    extras: tuple[Readiness, ...]


def examine(data_dir: Path | None = None) -> Diagnosis:
    """Look at this machine, a second for each device, and at the data files in `data_dir`."""
    data, folder = tuple(_data(data_dir)), given_folder(data_dir)
    bad = {found.name for found in data if found.missing}
    needed = {name: BENCHMARKS[name].sources for name in BENCHMARKS}
    return Diagnosis(
        environment=environment(),
        usable_cores=cores(),
        memory=_memory(),
        rates=tuple(_rates()),
        data_folder=None if folder is None else str(folder),
        data=data,
        benchmarks=tuple(Readiness(n, tuple(s for s in needed[n] if s in bad)) for n in needed),
        extras=tuple(extras()),
    )


def _data(data_dir: Path | None) -> Iterator[DataFound]:
    for name in SOURCES:
        if (files := SOURCES[name].files) is None:
            yield DataFound(name, None, (), cached=True)
        else:
            folder, cached = files.folder(data_dir), not files.missing(cache_folder() / name)
            yield DataFound(name, str(folder), files.missing(folder), cached)


def _rates() -> Iterator[Rate]:
    devices = [torch.device("cpu")]
    devices += [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    for device, (name, dtype) in product(devices, _FORMATS.items()):
        m = k = n = _SIDE[device.type]
        try:
            with one_thread():
                rate = product_rate(m, k, n, dtype, device, repeats=50, budget=_BUDGET)
        except RuntimeError:
            rate = None
        yield Rate(str(device), name, rate)


def _memory() -> Memory:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no container, or `max`
        total = min(total, int(_CGROUP_LIMIT.read_text()))
    available = _value(_MEMINFO, "MemAvailable")  # such as 123 kB
    return Memory(total, None if available is None else 1024 * int(available.split()[0]))


def extras() -> list[Readiness]:
    """Every set of optional packages, by name."""
    names = sorted(metadata.metadata(_OWN).get_all("Provides-Extra") or ())
    return [Readiness(name, tuple(_missing(name))) for name in names]


def _missing(extra: str) -> Iterator[str]:
    for requirement in map(Requirement, metadata.requires(_OWN) or ()):
        if requirement.marker is None or not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.name == _OWN:
            yield from chain.from_iterable(map(_missing, sorted(requirement.extras)))
            continue
        with suppress(metadata.PackageNotFoundError):
            found = metadata.version(requirement.name)
            if requirement.specifier.contains(found, prereleases=True):
                continue
        yield f"{requirement.name}{requirement.specifier}"
