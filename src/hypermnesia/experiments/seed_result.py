"""What a seed's training measured, as a file: the matrices; every figure is derived from them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hypermnesia import metrics
from hypermnesia.durable import read_json, write_json
from hypermnesia.errors import RunError
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.identity import owner
from hypermnesia.experiments.run_folder import SeedFolder
from hypermnesia.metrics import Matrix
from hypermnesia.training.progress import TrainResult

_NUMBERS = ("seconds", "peak_memory_mb", "compression")


def write_result(
    folder: SeedFolder, config: ExperimentConfig, seed: int, result: TrainResult
) -> None:
    """Store what was measured; the file says that the seed is finished."""
    inference = None if result.inference is None else _rows(result.inference)
    fields = {
        "seed": seed,
        "owner": owner(config, seed),
        "accuracy": _rows(result.accuracy),
        "inference": inference,
        "seconds_per_iteration": list(result.seconds_per_iteration),
    }
    write_json(folder.result, fields | {name: getattr(result, name) for name in _NUMBERS})


def read_result(folder: SeedFolder, config: ExperimentConfig, seed: int) -> TrainResult:
    """What `write_result` stored.

    Raises:
        RunError: the file is damaged, or of another seed or configuration.
    """
    fields = read_json(folder.result)
    try:
        if (fields["seed"], fields["owner"]) != (seed, owner(config, seed)):
            raise ValueError("those of another seed or configuration")
        inference = fields["inference"]
        return TrainResult(
            accuracy=_matrix(fields["accuracy"], config.data.tasks),
            inference=None if inference is None else _matrix(inference, config.data.tasks),
            seconds_per_iteration=tuple(map(_number, fields["seconds_per_iteration"])),
            **{name: _number(fields[name]) for name in _NUMBERS},
        )
    except (KeyError, TypeError, ValueError) as error:
        got = f"no field {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(
            f"{folder.result} must hold the figures of seed {seed} of this run",
            got=got,
            cure="delete it and resume",
        ) from None


def figures(result: TrainResult) -> dict[str, float]:
    """Every figure of a seed by name; NaN where there is none."""
    inference = result.inference
    return {
        "acc": metrics.acc(result.accuracy),
        "during": metrics.during(result.accuracy),
        "bwt": metrics.bwt(result.accuracy),
        "forgetting": metrics.forgetting(result.accuracy),
        "task_inference": math.nan if inference is None else metrics.task_inference(inference),
        **{name: getattr(result, name) for name in _NUMBERS},
    }


def _rows(matrix: Matrix) -> list[list[float | None]]:
    return [[float(v) if math.isfinite(v) else None for v in row] for row in matrix]


def _matrix(rows: Any, tasks: int) -> Matrix:
    """(tasks, tasks) percent of which the last row is complete."""
    if len(rows) != tasks or any(len(row) != tasks for row in rows):
        raise ValueError(f"a matrix that is not {tasks} x {tasks}")
    values = [[math.nan if v is None else _number(v) for v in row] for row in rows]
    matrix = np.array(values, dtype=np.float64)
    known = matrix[~np.isnan(matrix)]
    if np.isnan(matrix[-1]).any() or (known < 0).any() or (known > 100).any():
        raise ValueError("a matrix that is no accuracy in percent")
    return matrix


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r:.50} for a number")
    return float(value)
