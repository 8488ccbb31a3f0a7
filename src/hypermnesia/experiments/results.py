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
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.durable import write_json, write_text
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.run_folder import RunFolder
from hypermnesia.experiments.scenarios import evaluated
from hypermnesia.experiments.seed_result import figures, read_result, scenario_figures
from hypermnesia.metrics import Matrix
from hypermnesia.training.progress import TrainResult


@dataclass(frozen=True)
class RunSummary:
    """What a finished run has to say.

    Attributes:
        config: what was run.
        folder: where it is.
        figures: those of the training by name, an object with `mean`, `sem`, `n` and `values` by
            seed; None where there is no figure.
        scenarios: the figures in each scenario, likewise.
        matrices: by scenario (T, T) accuracy in percent, mean over the seeds.
    """

    config: ExperimentConfig
    folder: RunFolder
    figures: dict[str, Any]
    scenarios: dict[ScenarioName, dict[str, Any]]
    matrices: dict[ScenarioName, Matrix]

    def stored(self) -> dict[str, Any]:
        """What `summary.json` holds."""
        on = {"evaluated_on": self.config.data.evaluate_on}
        return {**on, "scenarios": self.scenarios, **self.figures}


def summarize(folder: RunFolder, config: ExperimentConfig, seeds: Sequence[int]) -> RunSummary:
    """The figures over `seeds`, all finished; also written to the run folder.

    Raises:
        RunError: a seed's result is damaged or of another run.
    """
    summary = summary_of(folder, config, results_of(folder, config, seeds))
    for name, matrix in summary.matrices.items():
        write_text(folder.matrix(name), matrix_csv(matrix))
    write_json(folder.summary, summary.stored())
    return summary


def results_of(
    folder: RunFolder, config: ExperimentConfig, seeds: Sequence[int]
) -> dict[int, TrainResult]:
    """What was measured, by seed.

    Raises:
        RunError: a seed's result is damaged or of another run.
    """
    return {seed: read_result(folder.seed(seed), config, seed) for seed in seeds}


def summary_of(
    folder: RunFolder, config: ExperimentConfig, results: Mapping[int, TrainResult]
) -> RunSummary:
    """The figures over the seeds of `results`, one or more."""
    over = _each_over_seeds({seed: figures(result) for seed, result in results.items()})
    over["seconds_per_iteration"] = {
        "values": {str(seed): list(r.seconds_per_iteration) for seed, r in results.items()}
    }
    scenarios, matrices = {}, {}
    for name in evaluated(config):
        in_it = {seed: scenario_figures(result, name) for seed, result in results.items()}
        scenarios[name] = _each_over_seeds(in_it)
        matrices[name] = np.mean([result.accuracy[name] for result in results.values()], axis=0)
    return RunSummary(config, folder, over, scenarios, matrices)


def matrix_csv(matrix: Matrix) -> str:
    """R as CSV: a row after each task learned, a column for each task; empty for NaN."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["after_task", *(f"task_{j}" for j in range(1, matrix.shape[1] + 1))])
    for i, row in enumerate(matrix, start=1):
        writer.writerow([i, *("" if math.isnan(value) else repr(float(value)) for value in row)])
    return text.getvalue()


def _each_over_seeds(by_seed: Mapping[int, Mapping[str, float]]) -> dict[str, Any]:
    names = next(iter(by_seed.values()))
    return {
        name: _over_seeds({seed: values[name] for seed, values in by_seed.items()})
        for name in names
    }


def _over_seeds(values: Mapping[int, float]) -> dict[str, Any]:
    summary = metrics.over_seeds(list(values.values()))
    return {
        "mean": plain(summary.mean),
        "sem": plain(summary.sem),
        "n": summary.n,
        "values": {str(seed): plain(value) for seed, value in values.items()},
    }


def plain(value: float) -> float | None:
    """A figure as JSON can hold it: None where there is none."""
    return float(value) if math.isfinite(value) else None
