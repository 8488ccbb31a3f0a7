"""What can be chosen about a benchmark, and the checks that every benchmark shares."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from hypermnesia.errors import ConfigError


@dataclass(frozen=True)
class BenchmarkSettings:
    """Choices about a benchmark.

    Attributes:
        tasks: number of tasks, the first ones of the sequence; None for the benchmark's own.
        padding: pixels of zeros added on each side of an image (permuted benchmarks).
        class_order: seed of a shuffled order of classes, apart from the run's seed; None for the
            natural order (split benchmarks).
        validation: samples held out of each task's training data, drawn at random by the run's
            seed. All tasks of a permuted benchmark hold out the same images.
        data_dir: folder of the data set's files; None for HYPERMNESIA_DATA, else the cache.
    """

    tasks: int | None = None
    padding: int = 0
    class_order: int | None = None
    validation: int = 0
    data_dir: Path | None = None


def refuse_unused(name: str, settings: BenchmarkSettings, used: frozenset[str]) -> None:
    """Raise `ConfigError` for a setting that is not the default and that `name` cannot use."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name not in used and value != field.default:
            raise ConfigError(
                f"{name} has no use for '{field.name}'",
                got=value,
                cure=f"leave it out; {name} takes {', '.join(sorted(used))}",
            )


def check_range(what: str, value: int, low: int, high: int | None = None) -> int:
    """`value`, if it lies between `low` and `high` (None: no upper end), both included.

    Raises:
        ConfigError: it does not.
    """
    if value < low or (high is not None and value > high):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        raise ConfigError(f"{what} must be {bounds}", got=value, cure="choose a value in range")
    return value
