"""Runs: everything checked first, then one training after another, continued where it stopped."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from hypermnesia.compute import deterministic_kernels
from hypermnesia.data.benchmarks import make_tasks
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.build import (
    benchmark_settings,
    build_method,
    device_of,
    rehearse,
    train_settings,
)
from hypermnesia.experiments.config import ExperimentConfig, validated
from hypermnesia.experiments.doctor import environment, note_environment
from hypermnesia.experiments.identity import owner
from hypermnesia.experiments.results import (
    RunSummary,
    matrix_csv,
    results_of,
    summarize,
    write_result,
    write_weights,
)
from hypermnesia.experiments.run_folder import RunFolder, SeedFolder, opened
from hypermnesia.methods import Method
from hypermnesia.report.tensorboard import TensorBoard
from hypermnesia.seeding import Generators
from hypermnesia.storage import holds, make_folder, os_errors_as_run_error, write_json, write_text
from hypermnesia.training.checkpoint import CheckpointStore
from hypermnesia.training.evaluate import TrainResult
from hypermnesia.training.logs import MetricsLog, SampleLog
from hypermnesia.training.loop import train
from hypermnesia.training.observers import Observer, ObserverGroup

_LONGEST_NAME = 240  # bytes: nearly every file system takes 255, some are for an ending

Watch = Callable[[ExperimentConfig, int], Observer]
"""(configuration, seed) -> who shows the progress of that training."""


@dataclass(frozen=True)
class Place:
    """Where run folders go.

    Attributes:
        out: folder that holds them.
        name: name of the run folder; None for `<benchmark>_<method>_<scenario>`.
        overwrite: replace another run in its place, or begin the same run's seeds anew.
    """

    out: Path = Path("runs")
    name: str | None = None
    overwrite: bool = False

    def folder(self, config: ExperimentConfig) -> Path:
        """The run folder of `config`."""
        return self.out / (self.name or f"{config.benchmark}_{config.method}_{config.scenario}")


def run_all(configs: Sequence[ExperimentConfig], place: Place, watch: Watch) -> list[RunSummary]:
    """Run every configuration with each of its seeds; what is finished already is kept.

    Raises:
        HypermnesiaError: anything that a user can mend, before the first training begins where
            it can be known by then.
    """
    _check_name(configs, place)
    for config in configs:
        if place.overwrite or RunFolder(place.folder(config)).unfinished(config.seeds):
            rehearse(config)
    with ExitStack() as stack:
        folders = [
            stack.enter_context(opened(place.folder(config), config, overwrite=place.overwrite))
            for config in configs
        ]
        runs = zip(folders, configs, strict=True)
        return [_run_seeds(folder, config, watch) for folder, config in runs]


def resume(
    path: Path,
    watch: Watch,
    changes: Mapping[str, object] | None = None,
    seeds: Sequence[int] | None = None,
) -> RunSummary:
    """Finish the run in the folder at `path`.

    Args:
        path: the run folder.
        watch: shows the progress.
        changes: fields of the machine section to change.
        seeds: those of the run to finish; None for all.

    Raises:
        ConfigError: a seed that is none of the run's.
    """
    config = RunFolder(path).read_config()
    if seeds is not None:
        config = _with_seeds(config, seeds)
    if changes:
        machine = config.machine.model_dump() | dict(changes)
        config = validated({**config.model_dump(), "machine": machine})
    if changes or RunFolder(path).unfinished(config.seeds):
        rehearse(config)
    with opened(path, config, overwrite=False) as folder:
        return _run_seeds(folder, config, watch)


def _with_seeds(config: ExperimentConfig, seeds: Sequence[int]) -> ExperimentConfig:
    others = sorted({*seeds} - {*config.seeds})
    if others:
        known = ", ".join(map(str, config.seeds))
        raise ConfigError("seeds must be of the run", got=others[0], cure=f"it has {known}")
    return config.model_copy(update={"seeds": tuple(seeds)})


def _run_seeds(folder: RunFolder, config: ExperimentConfig, watch: Watch) -> RunSummary:
    if config.machine.threads is not None:
        torch.set_num_threads(config.machine.threads)
    unfinished = folder.unfinished(config.seeds)
    if unfinished:
        with folder.locked():
            write_json(folder.environment, environment(device_of(config.machine)))
    with deterministic_kernels(config.compute.deterministic):
        for seed in unfinished:
            _run_seed(folder.seed(seed), config, seed, watch(config, seed))
    with folder.locked():
        seeds = sorted({*config.seeds, *folder.finished_seeds()})
        for seed, result in results_of(folder, config, seeds).items():
            _write_matrices(folder.seed(seed), result)
        return summarize(folder, config, seeds)


def _write_matrices(folder: SeedFolder, result: TrainResult) -> None:
    """The tables for readers, which follow from the result."""
    for scenario, matrix in result.accuracy.items():
        file, text = folder.matrix(scenario), matrix_csv(matrix)
        if not holds(file, text):
            write_text(file, text)


def _run_seed(folder: SeedFolder, config: ExperimentConfig, seed: int, observer: Observer) -> None:
    with os_errors_as_run_error(folder.path, "the folder of a seed must be writable"):
        make_folder(folder.path)
    generators, device = Generators(seed), device_of(config.machine)
    note_environment(folder.environment, environment(device))
    tasks = make_tasks(config.benchmark, benchmark_settings(config), seed)
    method = build_method(config, tasks, generators, device)
    with _observers(folder, config, seed, method, observer) as observers:
        result = train(
            method,
            tasks,
            settings=train_settings(config),
            generators=generators,
            observer=observers,
            device=device,
            checkpoints=CheckpointStore(folder.checkpoints, owner(config, seed)),
        )
    write_weights(folder.weights, method.state_dict())
    _write_matrices(folder, result)
    write_result(folder, config, seed, result)


@contextmanager
def _observers(
    folder: SeedFolder, config: ExperimentConfig, seed: int, method: Method, progress: Observer
) -> Iterator[Observer]:
    """The logs, the `progress` and, where it is asked for, TensorBoard."""
    samples = SampleLog(folder.samples, method, seed)
    if not config.machine.tensorboard:
        yield ObserverGroup(MetricsLog(folder.metrics), samples, progress)
        return
    with closing(TensorBoard(folder.tensorboard, folder.samples)) as board:
        log = MetricsLog(folder.metrics, on_metrics=board.add_metrics)
        yield ObserverGroup(log, samples, board, progress)


def _check_name(configs: Sequence[ExperimentConfig], place: Place) -> None:
    if place.name is None:
        return
    if len(configs) > 1:
        raise ConfigError(
            "--name names one run folder",
            got=f"{len(configs)} methods",
            cure="leave it out, or run one method at a time",
        )
    check_file_name(place.name)


def _is_text(name: str) -> bool:
    """Whether it is without bytes that are none, which a shell can hand over."""
    return name.encode(errors="replace").decode() == name


def check_file_name(name: str) -> None:
    """Raise `ConfigError` unless something inside a folder can be called `name`."""
    a_name = name not in ("", "..") and Path(name).name == name
    if not a_name or len(name.encode(errors="replace")) > _LONGEST_NAME or not _is_text(name):
        raise ConfigError("--name must be a plain name inside --out", got=reprlib.repr(name))
