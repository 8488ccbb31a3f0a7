"""What a run measured, as files that keep every digit."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
import safetensors.torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from hypermnesia import metrics, storage
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import RunError
from hypermnesia.experiments.config import ExperimentConfig, evaluated, owner
from hypermnesia.experiments.run_folder import RunFolder, SeedFolder
from hypermnesia.metrics import Counts, Matrix
from hypermnesia.state_files import State, pack, unpack
from hypermnesia.training.evaluation import TrainResult
from hypermnesia.training.phases import Measure

FORMAT = 2  # 1 had no checksums
_NUMBERS = ("seconds", "peak_memory_mb", "compression")
_KEPT = ("kept", "kept_bytes")  # which results of earlier versions lack
_MOST_SAMPLES, _LARGEST = 10**12, 1e15
_RETRAIN = "move it away and resume"
RESTORE = "restore it; or move {} away and resume, which trains from the last checkpoint if any"

T = TypeVar("T")


def write_weights(path: Path, state: State) -> None:
    """Store the `state` of a method: a safetensors file with the state's tree as metadata."""
    tree, tensors = pack(state)
    storage.write_bytes(path, safetensors.torch.save(tensors, metadata={"state": json.dumps(tree)}))


def read_weights(path: Path, noted: Mapping[str, Any] | None) -> State:
    """What `write_weights` stored; raises if damaged, or not as the result `noted` the file."""
    try:
        storage.check_regular(path)
        if noted is not None:
            storage.compare(path, noted)
        with safe_open(path, "pt") as file:
            tree = json.loads((file.metadata() or {})["state"])
            return unpack(tree, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        absent = isinstance(error, FileNotFoundError)
        got = "no file" if absent else f"{'no ' * isinstance(error, KeyError)}{error}"
        rule, hint = f"{path} must hold weights as they were written", RESTORE
        raise RunError(rule, got=got, hint=hint.format(path.parent / "result.json")) from error


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
        "memory_mb": list(result.memory_mb),
        "files": {path.name: storage.note(path) for path in folder.outcomes(result.accuracy)},
        **{name: getattr(result, name) for name in _NUMBERS},
    }
    fields |= {name: n for name in _KEPT if (n := getattr(result, name)) is not None}
    if result.measure != "accuracy":
        fields["measure"] = result.measure
    if result.gains:
        fields["gains"] = {name: _values(each) for name, each in result.gains.items()}
    storage.write_json(folder.result, storage.sealed(fields))


def read_result(folder: SeedFolder, config: ExperimentConfig, seed: int) -> TrainResult:
    """What `write_result` stored; raises if damaged, or of another seed or run."""
    fields, tasks = read_fields(folder), config.tasks
    try:
        if (fields["seed"], fields["owner"]) != (seed, owner(config, seed)):
            raise ValueError("those of another seed or configuration")
        measure: Measure = fields.get("measure", "accuracy")
        if measure not in get_args(Measure):
            raise ValueError(f"{measure!r:.50} for a measure")
        read = _matrix if measure == "accuracy" else partial(_matrix, most=_LARGEST)
        accuracy = _by_scenario(fields["accuracy"], evaluated(config), tasks, read)
        if len(accuracy) != len(evaluated(config)):
            raise ValueError("not every scenario of the run")
        inference = _by_scenario(fields["inference"], accuracy, tasks, _matrix)
        confusion = _by_scenario(fields["confusion"], accuracy, tasks, _counts)
        if inference.keys() != confusion.keys():
            raise ValueError("confusions that are not those of the inferences")
        iterations = tuple(map(_number, fields["seconds_per_iteration"]))
        if len(iterations) not in (1, tasks):
            raise ValueError(f"{len(iterations)} phases of training for {tasks} tasks")
        memory = tuple(map(_number, fields.get("memory_mb", ())))
        if len(memory) not in (0, len(iterations)):
            raise ValueError(f"memory of {len(memory)} phases, not {len(iterations)}")
        numbers: Any = {name: _number(fields[name]) for name in _NUMBERS}
        numbers |= {name: _number(fields[name]) for name in _KEPT if name in fields}
        numbers |= {"seconds_per_iteration": iterations, "memory_mb": memory, "measure": measure}
        numbers["gains"] = _by_scenario(fields.get("gains", {}), accuracy, tasks, _gains)
        return TrainResult(accuracy=accuracy, inference=inference, confusion=confusion, **numbers)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"no field {error}" if isinstance(error, KeyError) else str(error)
        rule = f"{folder.result} must hold the figures of seed {seed} of this run"
        raise RunError(rule, got=got, hint=_RETRAIN) from None


def read_fields(folder: SeedFolder) -> dict[str, Any]:
    """What the file holds, with its notes of `files`; raises if damaged, or of a later version."""
    fields = storage.read_json(folder.result)
    version = fields.get("format", 1)
    if isinstance(version, int) and version > FORMAT:
        rule, got = f"{folder.result} must be of format {FORMAT} or earlier", f"format {version}"
        hint = "read it with the version of Hypermnesia that wrote it"
        raise RunError(rule, got=f"{got}, of a later version", hint=hint)
    if version == 1:
        return fields | {"files": {}}
    rule = f"{folder.result} must be as it was written"
    try:
        whole = storage.unsealed(fields)
        if not all(isinstance(each, dict) for each in (whole["files"], *whole["files"].values())):
            raise ValueError("no notes of its files")
        return whole
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(rule, got=error, hint=_RETRAIN) from None


def scenario_figures(result: TrainResult, scenario: ScenarioName) -> dict[str, float]:
    """The figures of a seed in one of the scenarios, by name; NaN where there is none."""
    accuracy, inference = result.accuracy[scenario], result.inference.get(scenario)
    gains = result.gains.get(scenario, ())
    # Of errors it is the rise above the lowest that was forgotten.
    sign = 1.0 if result.measure == "accuracy" else -1.0
    return {
        "acc": metrics.acc(accuracy),
        "during": metrics.during(accuracy),
        "bwt": metrics.bwt(accuracy),
        "fwt": metrics.fwt(gains),
        "forgetting": metrics.forgetting(sign * accuracy),
        "task_inference": math.nan if inference is None else metrics.task_inference(inference),
    }


def _rows(matrix: Matrix) -> list[list[float | None]]:
    return [_values(row) for row in matrix]


def _values(row: NDArray[np.float64]) -> list[float | None]:
    return [float(v) if math.isfinite(v) else None for v in row]


def _by_scenario(
    stored: Any, known: Collection[ScenarioName], tasks: int, read: Callable[[Any, int], T]
) -> dict[ScenarioName, T]:
    """The matrices in `stored`, for some or all of the `known` scenarios, in their order."""
    if not stored.keys() <= set(known):
        raise ValueError("a scenario that is none of the run's")
    return {name: read(stored[name], tasks) for name in known if name in stored}


def _matrix(rows: Any, tasks: int, most: float = 100.0) -> Matrix:
    """(tasks, tasks) numbers up to `most`, of which the last row is complete."""
    _check_square(rows, tasks)
    values = [[math.nan if v is None else _number(v) for v in row] for row in rows]
    matrix = np.array(values, dtype=np.float64)
    if np.isnan(matrix[-1]).any() or (matrix > most).any():
        raise ValueError("a matrix that is no accuracy in percent")
    return matrix


def _gains(row: Any, tasks: int) -> NDArray[np.float64]:
    """(tasks,) points, each from -100 to 100."""
    values = [math.nan if v is None else _number(abs(v)) * (1 - 2 * (v < 0)) for v in row]
    if len(values) != tasks or any(abs(value) > 100 for value in values):
        raise ValueError("gains that are not of all tasks, in points")
    return np.array(values)


def _counts(rows: Any, tasks: int) -> Counts:
    """(tasks, tasks) numbers of samples, some for each task."""
    _check_square(rows, tasks)
    for value in itertools.chain.from_iterable(rows):
        if type(value) is not int or not 0 <= value < _MOST_SAMPLES:
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
    if type(value) not in (int, float) or not 0 <= value <= _LARGEST:
        raise ValueError(f"{value!r:.50} for a number")
    return float(value)


@dataclass(frozen=True)
class RunSummary:
    """The figures of a finished run, of the training by name, and likewise in each scenario.

    A figure is an object with `mean`, `sem`, `n` and `values` by seed, None where there is none.
    `matrices` are by scenario (T, T), means over the seeds of the `measure`: percent or errors.
    """

    config: ExperimentConfig
    folder: RunFolder
    figures: dict[str, Any]
    scenarios: dict[ScenarioName, dict[str, Any]]
    matrices: dict[ScenarioName, Matrix]
    measure: Measure = "accuracy"

    def stored(self) -> dict[str, Any]:
        """What `summary.json` holds."""
        measure = {} if self.measure == "accuracy" else {"measure": self.measure}
        on = {"evaluated_on": self.config.data.evaluate_on, **measure}
        return {**on, "scenarios": self.scenarios, **self.figures}


def summarize(folder: RunFolder, config: ExperimentConfig, seeds: Sequence[int]) -> RunSummary:
    """The figures over `seeds`, all finished; also written to the run folder, with the tables."""
    results = results_of(folder, config, seeds)
    for seed, result in results.items():
        write_matrices(folder.seed(seed), result.accuracy)
    summary = summary_of(folder, config, results)
    write_matrices(folder, summary.matrices)
    storage.write_json(folder.summary, summary.stored())
    return summary


def write_matrices(folder: RunFolder | SeedFolder, matrices: Mapping[ScenarioName, Matrix]) -> None:
    """Write the tables for readers, where they are not there already."""
    for scenario, matrix in matrices.items():
        if not storage.holds(file := folder.matrix(scenario), text := matrix_csv(matrix)):
            storage.write_text(file, text)


def results_of(
    folder: RunFolder, config: ExperimentConfig, seeds: Sequence[int]
) -> dict[int, TrainResult]:
    """What was measured, by seed."""
    return {seed: read_result(folder.seed(seed), config, seed) for seed in seeds}


def summary_of(
    folder: RunFolder, config: ExperimentConfig, results: Mapping[int, TrainResult]
) -> RunSummary:
    """The figures over the seeds of `results`, one or more."""
    noted = all(result.kept is not None for result in results.values())
    names = (*_NUMBERS, *(_KEPT if noted else ()))
    numbers = {seed: {n: getattr(r, n) for n in names} for seed, r in results.items()}
    iterations = {str(seed): list(r.seconds_per_iteration) for seed, r in results.items()}
    over = _each_over_seeds(numbers) | {"seconds_per_iteration": {"values": iterations}}
    scenarios, matrices = {}, {}
    for name in evaluated(config):
        in_it = {seed: scenario_figures(result, name) for seed, result in results.items()}
        scenarios[name] = _each_over_seeds(in_it)
        matrices[name] = np.mean([result.accuracy[name] for result in results.values()], axis=0)
    measure = next(iter(results.values())).measure
    return RunSummary(config, folder, over, scenarios, matrices, measure)


def matrix_csv(matrix: Matrix) -> str:
    """R as CSV: a row after each task learned, a column for each task; empty for NaN."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["after_task", *(f"task_{j}" for j in range(1, matrix.shape[1] + 1))])
    for i, row in enumerate(matrix, start=1):
        writer.writerow([i, *("" if math.isnan(value) else repr(float(value)) for value in row)])
    return text.getvalue()


def _each_over_seeds(by_seed: Mapping[int, Mapping[str, float]]) -> dict[str, Any]:
    over: dict[str, Any] = {}
    for name in next(iter(by_seed.values())):
        summary = metrics.over_seeds([values[name] for values in by_seed.values()])
        over[name] = {"mean": plain(summary.mean), "sem": plain(summary.sem), "n": summary.n}
        over[name]["values"] = {str(seed): plain(v[name]) for seed, v in by_seed.items()}
    return over


def plain(value: float) -> float | None:
    """A figure as JSON can hold it: None where there is none."""
    return float(value) if math.isfinite(value) else None
