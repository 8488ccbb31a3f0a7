"""Figures of a seed and of a run, as files that keep every digit."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hypermnesia import metrics
from hypermnesia.durable import read_json, read_text, write_json, write_text
from hypermnesia.errors import RunError
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.run_folder import RunFolder, SeedFolder
from hypermnesia.metrics import Matrix
from hypermnesia.training.progress import TrainResult

FIGURES = (
    "acc",
    "during",
    "bwt",
    "forgetting",
    "task_inference",
    "compression",
    "seconds",
    "peak_memory_mb",
)


@dataclass(frozen=True)
class RunSummary:
    """What a finished run has to say.

    Attributes:
        config: what was run.
        folder: where it is.
        figures: by name, an object with `mean`, `sem`, `n` and `values` by seed; None where
            there is no figure.
        matrix: (T, T) accuracy in percent, mean over the seeds.
    """

    config: ExperimentConfig
    folder: RunFolder
    figures: dict[str, Any]
    matrix: Matrix


def write_seed(folder: SeedFolder, seed: int, owner: str, result: TrainResult) -> None:
    """Store a seed's figures; the result file comes last and says that the seed is finished."""
    inferred = float("nan")
    if result.inference is not None:
        inferred = metrics.task_inference(result.inference)
    figures = {
        "acc": metrics.acc(result.accuracy),
        "during": metrics.during(result.accuracy),
        "bwt": metrics.bwt(result.accuracy),
        "forgetting": metrics.forgetting(result.accuracy),
        "task_inference": inferred,
        "compression": result.compression,
        "seconds": result.seconds,
        "peak_memory_mb": result.peak_memory_mb,
    }
    plain = {name: _plain(value) for name, value in figures.items()}
    per_phase = [_plain(value) for value in result.seconds_per_iteration]
    write_text(folder.matrix, matrix_csv(result.accuracy))
    identity = {"seed": seed, "owner": owner}
    write_json(folder.result, {**identity, **plain, "seconds_per_iteration": per_phase})


def summarize(folder: RunFolder, config: ExperimentConfig, seeds: Sequence[int]) -> RunSummary:
    """The figures over `seeds`, all finished; also written to the run folder."""
    results = {seed: read_json(folder.seed(seed).result) for seed in seeds}
    figures: dict[str, Any] = {
        name: _over_seeds({seed: result.get(name) for seed, result in results.items()})
        for name in FIGURES
    }
    figures["seconds_per_iteration"] = {
        "values": {str(seed): r.get("seconds_per_iteration") for seed, r in results.items()}
    }
    matrices = [read_matrix(folder.seed(seed)) for seed in seeds]
    matrix = np.mean(np.stack(matrices), axis=0)
    write_text(folder.matrix, matrix_csv(matrix))
    write_json(folder.summary, figures)
    return RunSummary(config, folder, figures, matrix)


def matrix_csv(matrix: Matrix) -> str:
    """R as CSV: a row after each task learned, a column for each task; empty for NaN."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["after_task", *(f"task_{j}" for j in range(1, matrix.shape[1] + 1))])
    for i, row in enumerate(matrix, start=1):
        writer.writerow([i, *("" if math.isnan(value) else repr(float(value)) for value in row)])
    return text.getvalue()


def read_matrix(folder: SeedFolder) -> Matrix:
    """The matrix that `write_seed` stored."""
    rows = list(csv.reader(io.StringIO(read_text(folder.matrix))))[1:]
    try:
        values = [[float(cell) if cell else float("nan") for cell in row[1:]] for row in rows]
        return np.array(values, dtype=np.float64)
    except ValueError:
        raise RunError(
            f"{folder.matrix} must hold numbers",
            got="a damaged file",
            cure=f"delete {folder.result} and resume",
        ) from None


def _over_seeds(values: Mapping[int, float | None]) -> dict[str, Any]:
    numbers = [float("nan") if value is None else float(value) for value in values.values()]
    summary = metrics.over_seeds(numbers)
    return {
        "mean": _plain(summary.mean),
        "sem": _plain(summary.sem),
        "n": summary.n,
        "values": {str(seed): value for seed, value in values.items()},
    }


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
