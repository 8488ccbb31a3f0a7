"""Reading run folders for a report, without changing them, and noting what is missing.

A folder may come from another machine and is not trusted: files are read with a limit on their
size and validated, links are not followed, and a name goes into a figure only if it is plain.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.errors import ConfigError, RunError, printable
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.results import RunSummary, read_result, summary_of
from hypermnesia.experiments.run_folder import RunFolder
from hypermnesia.methods import METHODS
from hypermnesia.storage import read_json
from hypermnesia.training.evaluation import TrainResult

_MOST, _LONGEST_PROBLEM = 300, 600  # characters
_MOST_SEEDS, _MOST_PROBLEMS = 12, 10
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]{0,40}")

T = TypeVar("T")


def safe_text(value: object, most: int = _MOST) -> str:
    """Return `value` as printable text of at most `most` characters."""
    text = str(value)
    return printable(text if len(text) <= most else text[: most - 1] + "…")


def seed_list(seeds: Sequence[int]) -> str:
    """Return `seeds 0, 1, 2`, or the first ones of many."""
    listed = ", ".join(map(str, seeds[:_MOST_SEEDS]))
    more = f" and {len(seeds) - _MOST_SEEDS} more" if len(seeds) > _MOST_SEEDS else ""
    return f"seed{'s' if len(seeds) != 1 else ''} {listed}{more}"


@dataclass(frozen=True)
class CollectedRun:
    """A run as a report uses it.

    Attributes:
        label: its unique name in figures and tables, plain characters.
        folder: where it is.
        config: what was run.
        results: what was measured, by finished seed; may be empty.
        environments: software and machine of each finished seed.
        missing: what is unfinished or damaged, a line each.
    """

    label: str
    folder: RunFolder
    config: ExperimentConfig
    results: Mapping[int, TrainResult]
    environments: Mapping[int, Mapping[str, Any]]
    missing: Sequence[str]

    @cached_property
    def summary(self) -> RunSummary:
        """The figures over the finished seeds; at least one must be finished."""
        return summary_of(self.folder, self.config, self.results)


def collect(paths: Sequence[Path]) -> list[CollectedRun]:
    """Read the runs in the folders at `paths`.

    Raises:
        ConfigError: for a folder named twice, or an unknown method or benchmark.
        RunError: for a folder that is not a run, or a damaged configuration.
    """
    places = [Path(os.path.realpath(path)) for path in paths]
    if len(set(places)) != len(places):
        raise ConfigError("a run can be named once", got=", ".join(map(str, paths)))
    folders = [RunFolder(path) for path in paths]
    configs = [folder.read_config() for folder in folders]
    for config in configs:
        METHODS[config.method]  # raises where this version does not know it
        BENCHMARKS[config.benchmark]
    labels = _labels([config.method for config in configs], [path.name for path in places])
    return [_read(*each) for each in zip(labels, folders, configs, strict=True)]


def _labels(methods: Sequence[str], names: Sequence[str]) -> list[str]:
    """Label each run by its method or, where several have it, by folder name or position."""
    several = {method for method, count in Counter(methods).items() if count > 1}
    distinct = {name for name, count in Counter(names).items() if count == 1} - {*methods}
    labels = []
    for position, (method, name) in enumerate(zip(methods, names, strict=True), start=1):
        plain = name in distinct and _PLAIN.fullmatch(name)
        alternative = name if plain else f"{method} (run {position})"
        labels.append(alternative if method in several else method)
    return labels


def _read(label: str, folder: RunFolder, config: ExperimentConfig) -> CollectedRun:
    finished = [seed for seed in config.seeds if folder.seed(seed).finished]
    unfinished = sorted({*config.seeds} - {*finished})

    def result(seed: int) -> TrainResult:
        _check_no_link(folder.seed(seed).path)
        return read_result(folder.seed(seed), config, seed)

    found, problems = _read_each(finished, result)
    results, odd = _trained_alike(found)
    environments, more = _read_each(results, lambda seed: read_json(folder.seed(seed).environment))
    missing = [*problems, *odd, *more]
    if (others := len(missing) - _MOST_PROBLEMS) > 0:
        missing[_MOST_PROBLEMS:] = [f"and {others} more of this kind"]
    if unfinished:
        command = f"hypermnesia resume {shlex.quote(str(folder.path))}"
        line = f"{seed_list(unfinished)}: not finished; go on with: {command}"
        missing.append(safe_text(line, _LONGEST_PROBLEM))
    return CollectedRun(label, folder, config, results, environments, missing)


def _read_each(seeds: Iterable[int], read: Callable[[int], T]) -> tuple[dict[int, T], list[str]]:
    """Return what could be read, by seed, and why the rest could not."""
    found, problems = {}, []
    for seed in seeds:
        try:
            found[seed] = read(seed)
        except RunError as error:
            problems.append(safe_text(f"seed {seed}: {error}", _LONGEST_PROBLEM))
    return found, problems


def _trained_alike(results: dict[int, TrainResult]) -> tuple[dict[int, TrainResult], list[str]]:
    """Return the seeds with as many training phases as the first one, and a line on the others."""
    phases = {seed: len(result.seconds_per_iteration) for seed, result in results.items()}
    usual = next(iter(phases.values()), 0)
    alike = {seed: result for seed, result in results.items() if phases[seed] == usual}
    odd = [
        f"seed {seed}: {count} phases of training where another seed has {usual}"
        for seed, count in phases.items()
        if count != usual
    ]
    return alike, odd


def _check_no_link(path: Path) -> None:
    if path.is_symlink():
        rule, got = (
            "the folder of a seed must lie in its run folder",
            f"{path}, a link to elsewhere",
        )
        raise RunError(rule, got=got, hint="copy what it leads to in its place")
