"""Benchmarks: named sequences of tasks.

Split benchmarks divide the classes of a data set among the tasks (Zenke, Poole, Ganguli,
"Continual learning through synaptic intelligence", ICML 2017, arXiv:1703.04200). Permuted ones use
all images in every task, with the pixels in another fixed order (Goodfellow et al., "An empirical
investigation of catastrophic forgetting in gradient-based neural networks", 2013, arXiv:1312.6211);
the padded image is permuted, and not for the first task (von Oswald et al. 2020, arXiv:1906.00695).
Rotated ones turn them by an angle of each task's own (Lopez-Paz and Ranzato, "Gradient episodic
memory", NeurIPS 2017, arXiv:1706.08840). What a task draws depends on the run's seed and its place
alone: later tasks of a longer sequence are unseen ones of the same kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from hypermnesia.data.datasets import SOURCES, load
from hypermnesia.data.stream import turned
from hypermnesia.data.types import ImageData, Part, Task, Transform, hold_out
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
        class_order: seed of a shuffled class order, not the run's; None for the natural order.
        validation: samples held out of each task's training data, drawn with the run's seed; the
            same images in all tasks of a permuted benchmark.
        data_dir: folder of the data files; None for HYPERMNESIA_DATA, else the cache.
    """

    tasks: Annotated[Integer, Field(ge=1, le=100_000)] | None = None
    padding: Annotated[Integer, Field(ge=0, le=64)] = 0
    class_order: Seed | None = None
    validation: Annotated[Integer, Field(ge=0, le=10**9)] = 0
    data_dir: Annotated[Path | None, Field(exclude=True), SetAs("machine.data_dir")] = None


def check_range(what: str, value: int, low: int, high: int | None = None) -> int:
    """Return `value`; raise `ConfigError` unless low <= value <= high (None: unbounded)."""
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(f"{what} must be {bounds}", got=value, hint="choose a value in range")
    return value


@dataclass(frozen=True)
class Piece:
    """Consecutive tasks from one data set (`source`), each of so many classes."""

    source: str
    tasks: int
    classes: int

    def groups(self, class_order: int | None) -> list[list[int]]:
        """Return the classes of each task, in natural order or shuffled with a seed."""
        order = list(range(SOURCES[self.source].classes))
        if class_order is not None:
            generator = Generators(class_order)["class-order"]
            order = torch.randperm(len(order), generator=generator).tolist()
        return [order[i * self.classes : (i + 1) * self.classes] for i in range(self.tasks)]


def split_tasks(
    pieces: Sequence[Piece], settings: BenchmarkSettings, tasks: int, seed: int
) -> tuple[Task, ...]:
    """Build the first `tasks` tasks of `pieces`, loading only the data sets they need."""
    order = settings.class_order
    chosen = [(piece.source, group) for piece in pieces for group in piece.groups(order)][:tasks]
    data = {source: load(source, settings.data_dir) for source in dict(chosen)}
    generators = Generators(seed)

    def task(index: int, source: str, classes: list[int]) -> Task:
        train, test = split_parts(data[source], classes, index)
        parts = _held_out(train, settings.validation, generators[f"validation/{index}"])
        in_order = classes == list(range(classes[0], classes[-1] + 1))
        label = f"{classes[0]}-{classes[-1]}" if in_order else ",".join(map(str, classes))
        return Task(index, f"{source} {label}", len(classes), *parts, test)

    return tuple(task(index, *source) for index, source in enumerate(chosen))


def split_parts(data: ImageData, classes: Sequence[int], index: int) -> tuple[Part, Part]:
    """Make the training and test samples of `classes`, labelled by position, in shared storage."""
    place = torch.full((data.num_classes,), -1)
    place[torch.tensor(classes)] = torch.arange(len(classes))

    def part(x: Tensor, y: Tensor) -> Part:
        rows = (place[y] >= 0).nonzero().squeeze(1)
        return Part(x, place[y[rows]], index, data.scale, rows=rows)

    return part(data.train_x, data.train_y), part(data.test_x, data.test_y)


def _held_out(part: Part, validation: int, generator: torch.Generator) -> tuple[Part, Part | None]:
    """Split a part at random into samples to learn from and, unless there are none, held out."""
    places = hold_out(torch.arange(len(part)), validation, generator)

    def take(rows: Tensor) -> Part:
        own = rows if part.rows is None else part.rows[rows]
        return replace(part, y=part.y[rows], rows=own)

    return take(places[0]), None if places[1] is None else take(places[1])


@dataclass(frozen=True)
class Permutation:
    """A fixed order: (entries,) int64, the source index of each entry of a permuted sample."""

    order: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Permute each sample of `x` (batch, *sample)."""
        return x.flatten(1).index_select(1, self.order.to(x.device)).reshape(x.shape)

    @property
    def inverse(self) -> Permutation:
        """The inverse permutation."""
        return Permutation(self.order.argsort())


@dataclass(frozen=True)
class Rotation:
    """A turn about the centre by an `angle` in degrees, against the clock; zeros move in."""

    angle: float

    def __call__(self, x: Tensor) -> Tensor:
        """Turn (batch, channels, height, width) images."""
        return turned(x, torch.tensor([math.radians(self.angle)], dtype=torch.float64))


def _permuted(index: int, images: Tensor, generators: Generators) -> tuple[str, Transform | None]:
    """Draw the permutation of a task; the first one has none."""
    order = torch.randperm(images[0].numel(), generator=generators[f"permutation/{index}"])
    return (f"permutation {index}", Permutation(order)) if index else ("unpermuted", None)


def _rotated(index: int, images: Tensor, generators: Generators) -> tuple[str, Transform | None]:  # noqa: ARG001
    """Draw the angle of a task."""
    angle = 360.0 * float(torch.rand((), generator=generators[f"rotation/{index}"]))
    return f"rotated by {angle:.1f}°", Rotation(angle)


Changed = Callable[[int, Tensor, Generators], tuple[str, Transform | None]]
"""(number of a task, all images, generators) -> its name, and what changes its images."""


def changed_tasks(
    change: Changed, source: str, settings: BenchmarkSettings, tasks: int, seed: int
) -> tuple[Task, ...]:
    """Build changed versions of a data set; all tasks share one storage of uint8 images."""
    data, generators = load(source, settings.data_dir), Generators(seed)
    train_x, test_x = (F.pad(x, (settings.padding,) * 4) for x in (data.train_x, data.test_x))
    everything = Part(train_x, data.train_y, 0, data.scale)
    train, held_out = _held_out(everything, settings.validation, generators["validation"])
    test = Part(test_x, data.test_y, 0, data.scale)

    def task(index: int) -> Task:
        name, transform = change(index, train_x, generators)
        own = partial(replace, task=index, transform=transform)
        kept = None if held_out is None else own(held_out)
        return Task(index, name, data.num_classes, own(train), kept, own(test))

    return tuple(task(index) for index in range(tasks))


_ALWAYS_USED = frozenset({"tasks", "validation", "data_dir"})  # whose folder every command may name
_ZENKE = "Zenke et al. 2017, arXiv:1703.04200"
_GOODFELLOW = "Goodfellow et al. 2013, arXiv:1312.6211"
_LOPEZ = "Lopez-Paz and Ranzato 2017, arXiv:1706.08840"
_FINN = "Finn et al. 2017, arXiv:1703.03400"
_OSWALD = "von Oswald et al. 2020, arXiv:1906.00695"


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, described without loading its data.

    One of the user's own needs a name, `shape`, `classes` and `build`; inputs can be any tensors.

    Attributes:
        shape: of a sample without padding, (channels, height, width) of an image.
        classes: number of classes of each task, if `default_tasks` are made.
        build: makes the tasks from checked settings, the number of tasks and the run's seed.
        sources: names of the data sets in `SOURCES` that it uses; empty for data of your own.
        endless: whether more tasks than `default_tasks` are possible.
        related: whether tasks are variants of one another, so that those learned help a new one.
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
    related: bool = False

    @property
    def default_tasks(self) -> int:
        """The number of tasks unless `tasks` is set."""
        return len(self.classes)

    @property
    def max_tasks(self) -> int | None:
        """The largest number of tasks; None if unlimited."""
        return None if self.endless else len(self.classes)

    def sample_shape(self, padding: int = 0) -> tuple[int, ...]:
        """Return the shape of a sample with `padding` pixels added on each side of an image."""
        if not padding:
            return self.shape
        channels, height, width = self.shape
        return channels, height + 2 * padding, width + 2 * padding

    def count(self, settings: BenchmarkSettings) -> int:
        """Return the number of tasks; raise `ConfigError` for a setting that cannot work here."""
        for field in fields(settings):
            value = getattr(settings, field.name)
            if field.name not in self.used and value != field.default:
                hint = f"leave it out; {self.name} takes {', '.join(sorted(self.used))}"
                raise ConfigError(
                    f"{self.name} has no use for '{field.name}'", got=value, hint=hint
                )
        check_range("'validation'", settings.validation, 0)
        check_range("'padding'", settings.padding, 0, max(self.shape, default=0))
        wanted = self.default_tasks if settings.tasks is None else settings.tasks
        return check_range(f"'tasks' of {self.name}", wanted, 1, self.max_tasks)


_KIND = must_be("a Benchmark", lambda found: isinstance(found, Benchmark))
BENCHMARKS: Registry[Benchmark] = Registry("benchmark", "benchmarks", _KIND)
"""Every benchmark, by name."""


def make_tasks(name: str, settings: BenchmarkSettings, seed: int) -> tuple[Task, ...]:
    """Build the tasks of a benchmark; the seed is the run's, for permutations and validation.

    Raises `ConfigError` for an unknown name or a setting without use, `DataError` for bad data.
    """
    benchmark = BENCHMARKS[name]
    return benchmark.build(settings, benchmark.count(settings), seed)


def _add_split(name: str, description: str, reference: str, *pieces: Piece) -> None:
    shape, sources = SOURCES[pieces[0].source].shape, tuple(piece.source for piece in pieces)
    classes = tuple(piece.classes for piece in pieces for _ in range(piece.tasks))
    build, used = partial(split_tasks, pieces), _ALWAYS_USED | {"class_order"}
    benchmark = Benchmark(name, shape, classes, build, description, reference, sources, used=used)
    BENCHMARKS.add(name, benchmark)


def _add_changed(
    name: str, description: str, source: str, change: Changed = _permuted, origin: str = _GOODFELLOW
) -> None:
    about = (description, origin, (source,))
    shape, classes = SOURCES[source].shape, (SOURCES[source].classes,) * 10
    build, used = partial(changed_tasks, change, source), _ALWAYS_USED | {"padding"}
    options: dict[str, Any] = {"endless": True, "used": used, "related": change is _rotated}
    BENCHMARKS.add(name, Benchmark(name, shape, classes, build, *about, **options))


_add_split("split-digits", "scikit-learn digits, 5 x 2 classes", _ZENKE, Piece("digits", 5, 2))
_add_split("split-mnist", "MNIST, 5 x 2 classes", _ZENKE, Piece("mnist", 5, 2))
_add_split("split-fashion", "Fashion-MNIST, 5 x 2 classes", _ZENKE, Piece("fashion-mnist", 5, 2))
_add_changed("perm-digits", "scikit-learn digits, pixels in a new order each task", "digits")
_add_changed("perm-mnist", "MNIST, pixels in a new order each task", "mnist")
_TURNED = "turned by an angle of each task's own"
_add_changed("rotated-digits", f"scikit-learn digits, {_TURNED}", "digits", _rotated, _LOPEZ)
_add_changed("rotated-mnist", f"MNIST, {_TURNED}", "mnist", _rotated, _LOPEZ)
_add_split("split-cifar10", "CIFAR-10, 5 x 2 classes", _ZENKE, Piece("cifar10", 5, 2))
_CIFAR100 = "CIFAR-100, 10 x 10 classes (files of your own: unverified)"
_add_split("split-cifar100", _CIFAR100, _ZENKE, Piece("cifar100", 10, 10))
_BOTH = "CIFAR-10, then 5 x 10 classes of CIFAR-100 (unverified if your own)"
_add_split("split-cifar10-100", _BOTH, _OSWALD, Piece("cifar10", 1, 10), Piece("cifar100", 5, 10))

_CURVES: tuple[tuple[str, float, float, Callable[[Tensor], Tensor]], ...] = (
    ("x + 3", -4.0, -2.0, lambda x: x + 3),
    ("2x² - 1", -1.0, 1.0, lambda x: 2 * x**2 - 1),
    ("(x - 3)³", 2.0, 4.0, lambda x: (x - 3) ** 3),
)
_CURVE_SAMPLES, _CURVE_NOISE = 100, 0.05


def curve_tasks(settings: BenchmarkSettings, tasks: int, seed: int) -> tuple[Task, ...]:
    """Build regressions of one variable: noisy training targets, exact ones at even test points."""
    generators = Generators(seed)

    def task(index: int) -> Task:
        (name, low, high, function), generator = _CURVES[index], generators[f"curves/{index}"]
        x = low + (high - low) * torch.rand(_CURVE_SAMPLES, 1, generator=generator)
        y = function(x) + _CURVE_NOISE * torch.randn(x.shape, generator=generator)
        held = generators[f"validation/{index}"]
        parts = _held_out(Part(x, y, index), settings.validation, held)
        test = torch.linspace(low, high, _CURVE_SAMPLES)[:, None]
        return Task(index, name, 1, *parts, Part(test, function(test), index))

    return tuple(task(index) for index in range(tasks))


_ABOUT = ("three functions of one variable (regression: mean squared errors)", _OSWALD)
_curves = Benchmark("curves", (1,), (1, 1, 1), curve_tasks, *_ABOUT)
BENCHMARKS.add("curves", _curves)

_WAVE_SAMPLES, _WAVE_REACH = 1000, 5.0


def sine_tasks(settings: BenchmarkSettings, tasks: int, seed: int) -> tuple[Task, ...]:
    """Build sine waves a sin(x - p) of Finn et al. 2017: a in [0.1, 5], p in [0, π], x in [-5, 5].

    Training points are drawn evenly, test points are evenly apart; there is no noise.
    """
    generators = Generators(seed)

    def task(index: int) -> Task:
        generator = generators[f"sine/{index}"]
        height, phase = torch.rand(2, generator=generator).tolist()
        amplitude, phase = 0.1 + 4.9 * height, math.pi * phase

        def part(x: Tensor) -> Part:
            return Part(x, amplitude * torch.sin(x - phase), index)

        drawn = 2 * torch.rand(_WAVE_SAMPLES, 1, generator=generator) - 1
        held = generators[f"validation/{index}"]
        parts = _held_out(part(_WAVE_REACH * drawn), settings.validation, held)
        test = part(torch.linspace(-_WAVE_REACH, _WAVE_REACH, 200)[:, None])
        return Task(index, f"{amplitude:.2f} sin(x - {phase:.2f})", 1, *parts, test)

    return tuple(task(index) for index in range(tasks))


_ABOUT = ("sine waves, each of its own amplitude and phase (regression)", _FINN)
_sine = Benchmark("sine", (1,), (1,) * 10, sine_tasks, *_ABOUT, endless=True, related=True)
BENCHMARKS.add("sine", _sine)
