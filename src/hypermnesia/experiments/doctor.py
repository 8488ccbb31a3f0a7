"""What a machine offers: versions, devices, rates, data and extras, found without changing it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.data.files import cache_folder, given_folder
from hypermnesia.data.sources import SOURCES
from hypermnesia.experiments.environment import environment
from hypermnesia.experiments.extras import Extra, extras
from hypermnesia.experiments.jobs import cores
from hypermnesia.experiments.rates import one_thread, product_rate

_MEMINFO = Path("/proc/meminfo")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_FORMATS = {"float32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
_SIDE = {"cpu": 512, "cuda": 4096}  # of the matrices; smaller ones leave a GPU idle
_BUDGET = 0.25  # seconds for each format


@dataclass(frozen=True)
class Memory:
    """Memory of the machine, or of the container, in bytes; None where the system does not say.

    Attributes:
        total: all of it.
        available: what programs can still have without swapping.
    """

    total: int | None
    available: int | None


@dataclass(frozen=True)
class Rate:
    """How fast a device multiplies matrices in a number format.

    Attributes:
        device: its name to torch; of the CPU it is one core.
        format: name of the number format.
        per_second: operations a second; None where the device cannot.
    """

    device: str
    format: str
    per_second: float | None


@dataclass(frozen=True)
class DataFound:
    """The files of a data set: whether they are there, not whether they are undamaged.

    Attributes:
        name: the data set.
        folder: where a run looks for them; None for a data set inside a package.
        missing: names of the files that are not there.
        cached: whether the cache holds all of them, whatever folder was named.
    """

    name: str
    folder: str | None
    missing: tuple[str, ...]
    cached: bool


@dataclass(frozen=True)
class BenchmarkFound:
    """Whether a benchmark's data are there.

    Attributes:
        name: the benchmark.
        missing: the data sets that are not complete.
    """

    name: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        environment: as in a run's environment.json.
        usable_cores: cores that this process may use.
        memory: of the machine.
        rates: by device and format.
        data_folder: the folder that was named for data; None for the cache.
        data: every data set.
        benchmarks: every benchmark.
        extras: sets of optional packages.
    """

    environment: dict[str, Any]
    usable_cores: int
    memory: Memory
    rates: tuple[Rate, ...]
    data_folder: str | None
    data: tuple[DataFound, ...]
    benchmarks: tuple[BenchmarkFound, ...]
    extras: tuple[Extra, ...]


def examine(data_dir: Path | None = None) -> Diagnosis:
    """Look at this machine; takes about a second for each device.

    Args:
        data_dir: folder of data files; None for HYPERMNESIA_DATA, else the cache.
    """
    data, folder = tuple(_data(data_dir)), given_folder(data_dir)
    incomplete = {found.name for found in data if found.missing}
    return Diagnosis(
        environment=environment(),
        usable_cores=cores(),
        memory=_memory(),
        rates=tuple(_rates()),
        data_folder=None if folder is None else str(folder),
        data=data,
        benchmarks=tuple(
            BenchmarkFound(name, tuple(s for s in BENCHMARKS[name].sources if s in incomplete))
            for name in BENCHMARKS
        ),
        extras=tuple(extras()),
    )


def _data(data_dir: Path | None) -> Iterator[DataFound]:
    for name in SOURCES:
        files = SOURCES[name].files
        if files is None:
            yield DataFound(name, None, (), cached=True)
            continue
        folder = files.folder(data_dir)
        cached = not files.missing(cache_folder() / name)
        yield DataFound(name, str(folder), files.missing(folder), cached)


def _rates() -> Iterator[Rate]:
    devices = [torch.device("cpu")]
    devices += [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    for device in devices:
        for name, dtype in _FORMATS.items():
            yield Rate(str(device), name, _rate(device, dtype))


def _rate(device: torch.device, dtype: torch.dtype) -> float | None:
    side = _SIDE[device.type]
    try:
        with one_thread():
            return product_rate(side, side, side, dtype, repeats=50, budget=_BUDGET, device=device)
    except RuntimeError:
        return None


def _memory() -> Memory:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Memory(min(total, _container_limit() or total), _available())


def _container_limit() -> int | None:
    try:
        return int(_CGROUP_LIMIT.read_text())
    except (OSError, ValueError):  # no container, or `max`
        return None


def _available() -> int | None:
    try:
        lines = _MEMINFO.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        return None
