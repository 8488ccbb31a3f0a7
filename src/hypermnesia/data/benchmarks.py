"""Benchmarks: named sequences of tasks.

Split benchmarks divide the classes of a data set among the tasks (F. Zenke, B. Poole, S. Ganguli,
"Continual learning through synaptic intelligence", ICML 2017, arXiv:1703.04200).

Permuted benchmarks use all images in every task, with the pixels in a different fixed order
(I. Goodfellow et al., "An empirical investigation of catastrophic forgetting in gradient-based
neural networks", 2013, arXiv:1312.6211). The permutation covers the padded image, and the first
task is not permuted, as in von Oswald et al. 2020, arXiv:1906.00695.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hypermnesia.data.datasets import SOURCES, load
from hypermnesia.data.types import ImageData, Part, Task, hold_out
from hypermnesia.errors import ConfigError
from hypermnesia.registry import Registry, must_be
from hypermnesia.seeding import Generators
from hypermnesia.settings import Integer, Seed, SetAs


@dataclass(frozen=True)
class BenchmarkSettings:
    """Options of a benchmark.

    Attributes:
        tasks: number of tasks to use, from the start of the sequence; None for the default.
        padding: zero pixels added on each side of an image (permuted benchmarks).
        class_order: seed of a shuffled class order, independent of the run's seed; None for the
            natural order (split benchmarks).
        validation: samples held out of each task's training data, drawn at random with the run's
            seed. All tasks of a permuted benchmark hold out the same images.
        data_dir: folder of the data files; None for HYPERMNESIA_DATA, else the cache.
    """

    tasks: Annotated[Integer, Field(ge=1, le=100_000)] | None = None
    padding: Annotated[Integer, Field(ge=0, le=64)] = 0
    class_order: Seed | None = None
    validation: Annotated[Integer, Field(ge=0, le=10**9)] = 0
    data_dir: Annotated[Path | None, Field(exclude=True), SetAs("machine.data_dir")] = None


def refuse_unused(name: str, settings: BenchmarkSettings, used: frozenset[str]) -> None:
    """Raise `ConfigError` for a setting that was changed though benchmark `name` ignores it."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name not in used and value != field.default:
            raise ConfigError(
                f"{name} has no use for '{field.name}'",
                got=value,
                hint=f"leave it out; {name} takes {', '.join(sorted(used))}",
            )


def check_range(what: str, value: int, low: int, high: int | None = None) -> int:
    """Return `value`, or raise `ConfigError` unless low <= value <= high (None: unbounded)."""
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(f"{what} must be {bounds}", got=value, hint="choose a value in range")
    return value


@dataclass(frozen=True)
class Piece:
    """Consecutive tasks from one data set.

    Attributes:
        source: name of the data set.
        tasks: number of tasks.
        classes: number of classes in each task.
    """

    source: str
    tasks: int
    classes: int

    def groups(self, class_order: int | None) -> list[list[int]]:
        """Return the classes of each task, in natural order or shuffled with a seed."""
        order = list(range(SOURCES[self.source].classes))
        if class_order is not None:
            generator = Generators(class_order)["class-order"]
            order = torch.randperm(len(order), generator=generator).tolist()
        starts = range(0, self.tasks * self.classes, self.classes)
        return [order[start : start + self.classes] for start in starts]


def split_tasks(
    pieces: Sequence[Piece], settings: BenchmarkSettings, tasks: int, seed: int
) -> tuple[Task, ...]:
    """Build the first `tasks` tasks of `pieces`, loading only the data sets they need."""
    every = [
        (piece.source, group) for piece in pieces for group in piece.groups(settings.class_order)
    ]
    chosen = every[:tasks]
    data = {source: load(source, settings.data_dir) for source in dict(chosen)}
    generators = Generators(seed)
    return tuple(
        split_task(
            data[source],
            classes,
            index,
            name=f"{source} {_label(classes)}",
            validation=settings.validation,
            generator=generators[f"validation/{index}"],
        )
        for index, (source, classes) in enumerate(chosen)
    )


def split_task(
    data: ImageData,
    classes: Sequence[int],
    index: int,
    *,
    name: str,
    validation: int,
    generator: torch.Generator,
) -> Task:
    """Build the task of classifying among `classes`; the label is the position in `classes`.

    Args:
        data: the data set; the task shares its storage.
        classes: classes of the task, in the order of its labels.
        index: position of the task in the sequence.
        name: name of the task in tables.
        validation: number of training samples to hold out.
        generator: draws the held-out samples.
    """
    place = torch.full((data.num_classes,), -1)
    place[torch.tensor(classes)] = torch.arange(len(classes))
    train_y, test_y = place[data.train_y], place[data.test_y]
    rows, held_out = hold_out(_rows(train_y), validation, generator)

    def part(x: Tensor, y: Tensor, rows: Tensor) -> Part:
        return Part(x, y[rows], index, data.scale, rows=rows)

    kept = None if held_out is None else part(data.train_x, train_y, held_out)
    train, test = part(data.train_x, train_y, rows), part(data.test_x, test_y, _rows(test_y))
    return Task(index, name, len(classes), train, kept, test)


def _rows(y: Tensor) -> Tensor:
    return (y >= 0).nonzero().squeeze(1)


def _label(classes: Sequence[int]) -> str:
    in_order = list(classes) == list(range(classes[0], classes[-1] + 1))
    return f"{classes[0]}-{classes[-1]}" if in_order else ",".join(map(str, classes))


@dataclass(frozen=True)
class Permutation:
    """A fixed order of the entries of a sample, applied to a batch.

    Attributes:
        order: (entries,) int64, the source index of each entry of the result.
    """

    order: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Permute the entries of each sample of `x` (batch, *sample)."""
        return x.flatten(1).index_select(1, self.order.to(x.device)).reshape(x.shape)

    @property
    def inverse(self) -> Permutation:
        """The inverse permutation."""
        return Permutation(self.order.argsort())


def permuted_tasks(
    data: ImageData, settings: BenchmarkSettings, tasks: int, seed: int
) -> tuple[Task, ...]:
    """Build permuted versions of `data`; all tasks share one storage of uint8 images."""
    generators = Generators(seed)
    train_x, test_x = (F.pad(x, (settings.padding,) * 4) for x in (data.train_x, data.test_x))
    everything = torch.arange(len(data.train_y))
    rows, held_out = hold_out(everything, settings.validation, generators["validation"])

    def task(index: int) -> Task:
        generator = generators[f"permutation/{index}"]
        transform = Permutation(torch.randperm(train_x[0].numel(), generator=generator))

        def part(x: Tensor, y: Tensor, rows: Tensor | None) -> Part:
            labels = y if rows is None else y[rows]
            return Part(x, labels, index, data.scale, transform if index else None, rows)

        kept = None if held_out is None else part(train_x, data.train_y, held_out)
        train, test = part(train_x, data.train_y, rows), part(test_x, data.test_y, None)
        name = f"permutation {index}" if index else "unpermuted"
        return Task(index, name, data.num_classes, train, kept, test)

    return tuple(task(index) for index in range(tasks))


_ALWAYS_USED = frozenset({"tasks", "validation", "data_dir"})
_ZENKE = "Zenke et al. 2017, arXiv:1703.04200"
_GOODFELLOW = "Goodfellow et al. 2013, arXiv:1312.6211"
_OSWALD = "von Oswald et al. 2020, arXiv:1906.00695"


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, described without loading its data.

    One of the user's own needs a name, `shape`, `classes` and `build`; inputs can be any tensors.

    Attributes:
        name: what lists and tables call it.
        shape: of a sample without padding, (channels, height, width) of an image.
        classes: number of classes of each task, if `default_tasks` are made.
        build: makes the tasks from checked settings, the number of tasks and the run's seed.
        description: one line for a list of benchmarks.
        reference: where it was published.
        sources: names of the data sets in `SOURCES` that it uses; empty for data of your own.
        endless: whether more tasks than `default_tasks` are possible.
        used: names of the settings that it supports; `padding` is for images only.
    """

    name: str
    shape: tuple[int, ...]
    classes: tuple[int, ...]
    build: Callable[[BenchmarkSettings, int, int], tuple[Task, ...]]
    description: str = ""
    reference: str = ""
    sources: tuple[str, ...] = ()
    endless: bool = False
    used: frozenset[str] = _ALWAYS_USED

    @property
    def default_tasks(self) -> int:
        """Number of tasks unless `tasks` is set."""
        return len(self.classes)

    @property
    def max_tasks(self) -> int | None:
        """Largest number of tasks; None if unlimited."""
        return None if self.endless else len(self.classes)

    def sample_shape(self, padding: int = 0) -> tuple[int, ...]:
        """Return the shape of a sample with `padding` pixels added on each side of an image."""
        if not padding:
            return self.shape
        channels, height, width = self.shape
        return channels, height + 2 * padding, width + 2 * padding

    def count(self, settings: BenchmarkSettings) -> int:
        """Return the number of tasks, after validating all `settings` that need no data.

        Raises:
            ConfigError: if a setting is out of range or not supported by this benchmark.
        """
        refuse_unused(self.name, settings, self.used)
        check_range("'validation'", settings.validation, 0)
        check_range("'padding'", settings.padding, 0, max(self.shape, default=0))
        wanted = self.default_tasks if settings.tasks is None else settings.tasks
        return check_range(f"'tasks' of {self.name}", wanted, 1, self.max_tasks)


BENCHMARKS: Registry[Benchmark] = Registry(
    "benchmark", "benchmarks", must_be("a Benchmark", lambda found: isinstance(found, Benchmark))
)
"""Every benchmark, by name."""


def make_tasks(name: str, settings: BenchmarkSettings, seed: int) -> tuple[Task, ...]:
    """Build the task sequence of a benchmark.

    Args:
        name: one of `BENCHMARKS`.
        settings: its options.
        seed: the run's seed, for permutations and validation samples.

    Raises:
        ConfigError: for an unknown benchmark or an unsupported setting.
        DataError: if the data are missing or damaged.
    """
    benchmark = BENCHMARKS[name]
    return benchmark.build(settings, benchmark.count(settings), seed)


def _add_split(name: str, description: str, reference: str, *pieces: Piece) -> None:
    BENCHMARKS.add(
        name,
        Benchmark(
            name,
            SOURCES[pieces[0].source].shape,
            tuple(piece.classes for piece in pieces for _ in range(piece.tasks)),
            partial(split_tasks, pieces),
            description,
            reference,
            sources=tuple(piece.source for piece in pieces),
            used=_ALWAYS_USED | {"class_order"},
        ),
    )


def _add_permuted(name: str, description: str, source: str) -> None:
    def build(settings: BenchmarkSettings, tasks: int, seed: int) -> tuple[Task, ...]:
        return permuted_tasks(load(source, settings.data_dir), settings, tasks, seed)

    BENCHMARKS.add(
        name,
        Benchmark(
            name,
            SOURCES[source].shape,
            (SOURCES[source].classes,) * 10,
            build,
            description,
            _GOODFELLOW,
            sources=(source,),
            endless=True,
            used=_ALWAYS_USED | {"padding"},
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


_CURVES: tuple[tuple[str, float, float, Callable[[Tensor], Tensor]], ...] = (
    ("x + 3", -4.0, -2.0, lambda x: x + 3),
    ("2x² - 1", -1.0, 1.0, lambda x: 2 * x**2 - 1),
    ("(x - 3)³", 2.0, 4.0, lambda x: (x - 3) ** 3),
)
_CURVE_SAMPLES, _CURVE_NOISE = 100, 0.05


def curve_tasks(settings: BenchmarkSettings, tasks: int, seed: int) -> tuple[Task, ...]:
    """Build the first `tasks` functions of one variable, in regression.

    Training targets have noise; test targets, at points in equal steps, have none.
    """
    generators = Generators(seed)

    def task(index: int) -> Task:
        name, low, high, function = _CURVES[index]
        generator = generators[f"curves/{index}"]
        x = low + (high - low) * torch.rand(_CURVE_SAMPLES, 1, generator=generator)
        y = function(x) + _CURVE_NOISE * torch.randn(x.shape, generator=generator)
        held = generators[f"validation/{index}"]
        rows, held_out = hold_out(torch.arange(len(x)), settings.validation, held)
        test = torch.linspace(low, high, _CURVE_SAMPLES)[:, None]
        kept = None if held_out is None else Part(x[held_out], y[held_out], index)
        train = Part(x[rows], y[rows], index)
        return Task(index, name, 1, train, kept, Part(test, function(test), index))

    return tuple(task(index) for index in range(tasks))


BENCHMARKS.add(
    "curves",
    Benchmark(
        "curves",
        (1,),
        (1,) * len(_CURVES),
        curve_tasks,
        "three functions of one variable (regression: mean squared errors)",
        _OSWALD,
        used=_ALWAYS_USED - {"data_dir"},
    ),
)
