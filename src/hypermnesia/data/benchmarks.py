"""The benchmarks: named sequences of tasks made from the data sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypermnesia.data.permuted import permuted_tasks
from hypermnesia.data.settings import BenchmarkSettings, check_range, refuse_unused
from hypermnesia.data.sources import SOURCES, load
from hypermnesia.data.split import Piece, split_tasks
from hypermnesia.data.types import Task
from hypermnesia.registry import Registry

_ALWAYS_USED = frozenset({"tasks", "validation", "data_dir"})
_ZENKE = "Zenke et al. 2017, arXiv:1703.04200"
_GOODFELLOW = "Goodfellow et al. 2013, arXiv:1312.6211"
_OSWALD = "von Oswald et al. 2020, arXiv:1906.00695"


@dataclass(frozen=True)
class Benchmark:
    """A benchmark and what is known about it before its data are loaded.

    Attributes:
        name: its name in `BENCHMARKS`.
        description: one line for a list of benchmarks.
        reference: where it was published.
        sources: names of the data sets that it is made of.
        shape: (channels, height, width) of an image without padding.
        classes: number of classes of each task, if `default_tasks` are made.
        endless: whether there can be more tasks than `default_tasks`.
        used: names of the settings that it can use.
        build: makes the tasks from checked settings, the number of tasks and the run's seed.
    """

    name: str
    description: str
    reference: str
    sources: tuple[str, ...]
    shape: tuple[int, int, int]
    classes: tuple[int, ...]
    endless: bool
    used: frozenset[str]
    build: Callable[[BenchmarkSettings, int, int], tuple[Task, ...]]

    @property
    def default_tasks(self) -> int:
        """Number of tasks if none is asked for."""
        return len(self.classes)

    @property
    def max_tasks(self) -> int | None:
        """Largest number of tasks; None for no end."""
        return None if self.endless else len(self.classes)

    def sample_shape(self, padding: int = 0) -> tuple[int, int, int]:
        """(channels, height, width) of a sample with `padding` pixels added on each side."""
        channels, height, width = self.shape
        return channels, height + 2 * padding, width + 2 * padding

    def count(self, settings: BenchmarkSettings) -> int:
        """The number of tasks; checks all of `settings` that can be checked without data.

        Raises:
            ConfigError: if a setting is impossible or of no use to this benchmark.
        """
        refuse_unused(self.name, settings, self.used)
        check_range("'validation'", settings.validation, 0)
        check_range("'padding'", settings.padding, 0, max(self.shape))
        wanted = self.default_tasks if settings.tasks is None else settings.tasks
        return check_range(f"'tasks' of {self.name}", wanted, 1, self.max_tasks)


BENCHMARKS: Registry[Benchmark] = Registry("benchmark")
"""Every benchmark, by name."""


def make_tasks(name: str, settings: BenchmarkSettings, seed: int) -> tuple[Task, ...]:
    """The sequence of tasks of the benchmark called `name`.

    Args:
        name: one of `BENCHMARKS`.
        settings: what can be chosen.
        seed: the run's seed, for permutations and validation samples.

    Raises:
        ConfigError: if there is no such benchmark, or a setting is impossible or of no use to it.
        DataError: if the data are missing or damaged.
    """
    benchmark = BENCHMARKS[name]
    return benchmark.build(settings, benchmark.count(settings), seed)


def _add_split(name: str, description: str, reference: str, *pieces: Piece) -> None:
    def build(settings: BenchmarkSettings, tasks: int, seed: int) -> tuple[Task, ...]:
        return split_tasks(pieces, settings, tasks, seed)

    BENCHMARKS.add(
        name,
        Benchmark(
            name,
            description,
            reference,
            tuple(piece.source for piece in pieces),
            SOURCES[pieces[0].source].shape,
            tuple(piece.classes for piece in pieces for _ in range(piece.tasks)),
            endless=False,
            used=_ALWAYS_USED | {"class_order"},
            build=build,
        ),
    )


def _add_permuted(name: str, description: str, source: str) -> None:
    def build(settings: BenchmarkSettings, tasks: int, seed: int) -> tuple[Task, ...]:
        return permuted_tasks(load(source, settings.data_dir), settings, tasks, seed)

    BENCHMARKS.add(
        name,
        Benchmark(
            name,
            description,
            _GOODFELLOW,
            (source,),
            SOURCES[source].shape,
            (SOURCES[source].classes,) * 10,
            endless=True,
            used=_ALWAYS_USED | {"padding"},
            build=build,
        ),
    )


_add_split("split-digits", "scikit-learn digits, 5 x 2 classes", _ZENKE, Piece("digits", 5, 2))
_add_split("split-mnist", "MNIST, 5 x 2 classes", _ZENKE, Piece("mnist", 5, 2))
_add_split("split-fashion", "Fashion-MNIST, 5 x 2 classes", _ZENKE, Piece("fashion-mnist", 5, 2))
_add_permuted("perm-digits", "scikit-learn digits, pixels in a new order each task", "digits")
_add_permuted("perm-mnist", "MNIST, pixels in a new order each task", "mnist")
_add_split("split-cifar10", "CIFAR-10, 5 x 2 classes", _ZENKE, Piece("cifar10", 5, 2))
_add_split(
    "split-cifar100",
    "CIFAR-100, 10 x 10 classes (files of your own: unverified)",
    _ZENKE,
    Piece("cifar100", 10, 10),
)
_add_split(
    "split-cifar10-100",
    "CIFAR-10, then 5 x 10 classes of CIFAR-100 (unverified if your own)",
    _OSWALD,
    Piece("cifar10", 1, 10),
    Piece("cifar100", 5, 10),
)
