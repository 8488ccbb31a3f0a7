"""What a seed's training measured, as a file: the matrices; every figure is derived from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import numpy as np

from hypermnesia import metrics
from hypermnesia.checksums import note, sealed, unsealed
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.durable import read_json, write_json
from hypermnesia.errors import RunError
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.identity import owner
from hypermnesia.experiments.run_folder import SeedFolder
from hypermnesia.experiments.scenarios import evaluated
from hypermnesia.metrics import Counts, Matrix
from hypermnesia.training.progress import TrainResult

FORMAT = 2  # 1 had no checksums
_NUMBERS = ("seconds", "peak_memory_mb", "compression")
_MOST_SAMPLES = 10**12
_LARGEST = 1e15

T = TypeVar("T")


def write_result(
    folder: SeedFolder, config: ExperimentConfig, seed: int, result: TrainResult
) -> None:
    """Store what was measured, with checksums; the file says that the seed is finished."""
    fields = {
        "format": FORMAT,
        "seed": seed,
        "owner": owner(config, seed),
        "accuracy": {name: _rows(matrix) for name, matrix in result.accuracy.items()},
        "inference": {name: _rows(matrix) for name, matrix in result.inference.items()},
        "confusion": {name: counts.tolist() for name, counts in result.confusion.items()},
        "seconds_per_iteration": list(result.seconds_per_iteration),
        "files": {path.name: note(path) for path in folder.outcomes(result.accuracy)},
    }
    numbers = {name: getattr(result, name) for name in _NUMBERS}
    write_json(folder.result, sealed(fields | numbers))


def read_result(folder: SeedFolder, config: ExperimentConfig, seed: int) -> TrainResult:
    """What `write_result` stored.

    Raises:
        RunError: the file is damaged, or of another seed or configuration.
    """
    fields, tasks = read_fields(folder), config.data.tasks
    try:
        if (fields["seed"], fields["owner"]) != (seed, owner(config, seed)):
            raise ValueError("those of another seed or configuration")
        accuracy = _by_scenario(fields["accuracy"], evaluated(config), tasks, _matrix)
        if len(accuracy) != len(evaluated(config)):
            raise ValueError("not every scenario of the run")
        inference = _by_scenario(fields["inference"], accuracy, tasks, _matrix)
        confusion = _by_scenario(fields["confusion"], accuracy, tasks, _counts)
        if inference.keys() != confusion.keys():
            raise ValueError("confusions that are not those of the inferences")
        iterations = tuple(map(_number, fields["seconds_per_iteration"]))
        if len(iterations) not in (1, tasks):
            raise ValueError(f"{len(iterations)} phases of training for {tasks} tasks")
        return TrainResult(
            accuracy=accuracy,
            inference=inference,
            confusion=confusion,
            seconds_per_iteration=iterations,
            **{name: _number(fields[name]) for name in _NUMBERS},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"no field {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(
            f"{folder.result} must hold the figures of seed {seed} of this run",
            got=got,
            cure="move it away and resume",
        ) from None


def read_fields(folder: SeedFolder) -> dict[str, Any]:
    """What the file holds, whole and of a format that is known; `files` is what it noted.

    Raises:
        RunError: it is damaged, or of a later version.
    """
    fields = read_json(folder.result)
    version = fields.get("format", 1)
    if isinstance(version, int) and version > FORMAT:
        raise RunError(
            f"{folder.result} must be of format {FORMAT} or earlier",
            got=f"format {version}, of a later version",
            cure="read it with the version of Hypermnesia that wrote it",
        )
    if version == 1:
        return fields | {"files": {}}
    try:
        whole = unsealed(fields)
        notes = whole["files"]
        if not all(isinstance(each, dict) for each in (notes, *notes.values())):
            raise ValueError("no notes of its files")
        return whole
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got, cure = str(error), "move it away and resume"
        raise RunError(f"{folder.result} must be as it was written", got=got, cure=cure) from None


def figures(result: TrainResult) -> dict[str, float]:
    """The figures of a seed's training as such, by name."""
    return {name: getattr(result, name) for name in _NUMBERS}


def scenario_figures(result: TrainResult, scenario: ScenarioName) -> dict[str, float]:
    """The figures of a seed in one of the scenarios, by name; NaN where there is none."""
    accuracy, inference = result.accuracy[scenario], result.inference.get(scenario)
    return {
        "acc": metrics.acc(accuracy),
        "during": metrics.during(accuracy),
        "bwt": metrics.bwt(accuracy),
        "forgetting": metrics.forgetting(accuracy),
        "task_inference": math.nan if inference is None else metrics.task_inference(inference),
    }


def _rows(matrix: Matrix) -> list[list[float | None]]:
    return [[float(v) if math.isfinite(v) else None for v in row] for row in matrix]


def _by_scenario(
    stored: Mapping[Any, Any],
    known: Collection[ScenarioName],
    tasks: int,
    read: Callable[[Any, int], T],
) -> dict[ScenarioName, T]:
    """The matrices in `stored`, for some or all of the `known` scenarios, in their order."""
    if not stored.keys() <= set(known):
        raise ValueError("a scenario that is none of the run's")
    return {name: read(stored[name], tasks) for name in known if name in stored}


def _matrix(rows: Any, tasks: int) -> Matrix:
    """(tasks, tasks) percent of which the last row is complete."""
    _check_square(rows, tasks)
    values = [[math.nan if v is None else _number(v) for v in row] for row in rows]
    matrix = np.array(values, dtype=np.float64)
    known = matrix[~np.isnan(matrix)]
    if np.isnan(matrix[-1]).any() or (known > 100).any():
        raise ValueError("a matrix that is no accuracy in percent")
    return matrix


def _counts(rows: Any, tasks: int) -> Counts:
    """(tasks, tasks) numbers of samples, some for each task."""
    _check_square(rows, tasks)
    for value in (value for row in rows for value in row):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _MOST_SAMPLES:
            raise ValueError(f"{value!r:.50} for a number of samples")
    counts = np.array(rows, dtype=np.int64)
    if not counts.sum(axis=1).all():
        raise ValueError("a task without samples")
    return counts


def _check_square(rows: Any, tasks: int) -> None:
    if len(rows) != tasks or any(len(row) != tasks for row in rows):
        raise ValueError(f"a matrix that is not {tasks} x {tasks}")


def _number(value: Any) -> float:
    """Of accuracies, seconds, megabytes: not negative, and not so large that sums overflow."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
        raise ValueError(f"{value!r:.50} for a number")
    return float(value)
