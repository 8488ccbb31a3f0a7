"""Figures of a run over its seeds, as files that keep every digit."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hypermnesia import metrics
from hypermnesia.durable import write_json, write_text
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.run_folder import RunFolder
from hypermnesia.experiments.seed_result import figures, read_result
from hypermnesia.metrics import Matrix


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


def summarize(folder: RunFolder, config: ExperimentConfig, seeds: Sequence[int]) -> RunSummary:
    """The figures over `seeds`, all finished; also written to the run folder.

    Raises:
        RunError: a seed's result is damaged or of another run.
    """
    results = {seed: read_result(folder.seed(seed), config, seed) for seed in seeds}
    by_seed = {seed: figures(result) for seed, result in results.items()}
    names = list(next(iter(by_seed.values())))
    over: dict[str, Any] = {
        name: _over_seeds({seed: values[name] for seed, values in by_seed.items()})
        for name in names
    }
    over["seconds_per_iteration"] = {
        "values": {str(seed): list(r.seconds_per_iteration) for seed, r in results.items()}
    }
    matrix = np.mean(np.stack([result.accuracy for result in results.values()]), axis=0)
    write_text(folder.matrix, matrix_csv(matrix))
    write_json(folder.summary, {"evaluated_on": config.data.evaluate_on, **over})
    return RunSummary(config, folder, over, matrix)


def matrix_csv(matrix: Matrix) -> str:
    """R as CSV: a row after each task learned, a column for each task; empty for NaN."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["after_task", *(f"task_{j}" for j in range(1, matrix.shape[1] + 1))])
    for i, row in enumerate(matrix, start=1):
        writer.writerow([i, *("" if math.isnan(value) else repr(float(value)) for value in row)])
    return text.getvalue()


def _over_seeds(values: Mapping[int, float]) -> dict[str, Any]:
    summary = metrics.over_seeds(list(values.values()))
    return {
        "mean": _plain(summary.mean),
        "sem": _plain(summary.sem),
        "n": summary.n,
        "values": {str(seed): _plain(value) for seed, value in values.items()},
    }


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
