"""Run folders as trainings leave them, without training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hypermnesia.experiments.config import ExperimentConfig, evaluated
from hypermnesia.experiments.resolve import Request, resolve
from hypermnesia.experiments.results import write_result
from hypermnesia.experiments.run_folder import RunFolder, SeedFolder, opened
from hypermnesia.storage import write_json
from hypermnesia.training.evaluation import TrainResult

ENVIRONMENT = {"device": "cpu", "torch": "2.13.0", "cores": 2, "gpu": None}


def made(
    path: Path,
    method: str = "finetune",
    *settings: str,
    benchmark: str = "split-digits",
    scenario: str = "task",
    seeds: tuple[int, ...] = (0, 1),
    finished: Iterable[int] | None = None,
    tasks: int = 3,
    environment: dict[str, Any] | None = None,
) -> RunFolder:
    """The folder of a run at `path`, of which the seeds `finished` are; all of them for None."""
    assignments = (f"data.tasks={tasks}", *settings)
    (config,) = resolve(Request(benchmark, (method,), scenario, seeds, assignments=assignments))
    with opened(path, config, overwrite=False) as folder:
        for seed in seeds if finished is None else finished:
            end(folder.seed(seed), config, seed, environment or ENVIRONMENT)
    return folder


def end(folder: SeedFolder, config: ExperimentConfig, seed: int, environment: Any) -> None:
    """Write what the training of `seed` leaves."""
    folder.path.mkdir()
    write_json(folder.environment, environment)
    result = measured(config, seed)
    for path in folder.outcomes(result.accuracy):
        path.touch()
    write_result(folder, config, seed, result)


def measured(config: ExperimentConfig, seed: int) -> TrainResult:
    """A forgetful method: task j loses 3 + j points a task, and seed 1 is a point worse."""
    tasks, scenarios = config.data.tasks, evaluated(config)
    i, j = np.indices((tasks, tasks))
    matrix = np.where(i >= j, 95.0 - seed - (3 + j) * (i - j), np.nan).clip(5)
    if config.method == "joint":
        matrix[:-1] = np.nan
    counts = np.full((tasks, tasks), 7)
    inferred = [name for name in scenarios if name != "task"]
    seconds = tuple(0.002 * (task + 1 + seed) for task in range(tasks))
    return TrainResult(
        accuracy=dict.fromkeys(scenarios, matrix),
        inference=dict.fromkeys(inferred, matrix),
        confusion=dict.fromkeys(inferred, counts),
        seconds=9.0,
        seconds_per_iteration=seconds[:1] if config.method == "joint" else seconds,
        peak_memory_mb=400.0,
        compression=0.5,
    )
