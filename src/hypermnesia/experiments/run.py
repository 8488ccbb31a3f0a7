"""Runs: everything checked first, then one training after another, continued where it stopped."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from hypermnesia.compute import deterministic_kernels
from hypermnesia.data.benchmarks import make_tasks
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.build import (
    LOGGERS,
    benchmark_settings,
    loggers_of,
    machine_device,
    method_of,
    rehearse,
    train_settings,
)
from hypermnesia.experiments.config import ExperimentConfig, owner, validated
from hypermnesia.experiments.doctor import environment, note_environment
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
from hypermnesia.registry import file_name
from hypermnesia.seeding import Generators
from hypermnesia.storage import holds, make_folder, os_errors_as_run_error, write_json, write_text
from hypermnesia.training.checkpoint import CheckpointStore
from hypermnesia.training.evaluation import TrainResult
from hypermnesia.training.logs import MetricsLog, SampleLog
from hypermnesia.training.loop import train
from hypermnesia.training.observers import Observer, ObserverGroup
from hypermnesia.training.phases import Phase

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
        return self.out / (self.name or run_name(config))


def run_name(config: ExperimentConfig) -> str:
    """`<benchmark>_<method>_<scenario>`, a name that a folder can have."""
    return "_".join(map(file_name, (config.benchmark, config.method, config.scenario)))


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
        machine = {**asdict(config.machine), **changes}
        config = validated({**config.model_dump(), "machine": machine})
    if changes or RunFolder(path).unfinished(config.seeds):
        rehearse(config)
    with opened(path, config, overwrite=False) as folder:
        return _run_seeds(folder, config, watch)


def _with_seeds(config: ExperimentConfig, seeds: Sequence[int]) -> ExperimentConfig:
    others = sorted({*seeds} - {*config.seeds})
    if others:
        known = ", ".join(map(str, config.seeds))
        raise ConfigError("seeds must be of the run", got=others[0], hint=f"it has {known}")
    return config.model_copy(update={"seeds": tuple(seeds)})


def _run_seeds(folder: RunFolder, config: ExperimentConfig, watch: Watch) -> RunSummary:
    if config.machine.threads is not None:
        torch.set_num_threads(config.machine.threads)
    unfinished = folder.unfinished(config.seeds)
    if unfinished:
        with folder.locked():
            write_json(folder.environment, environment(machine_device(config.machine)))
    with deterministic_kernels(config.compute.deterministic):
        for seed in unfinished:
            run_seed(config, seed, folder.path, watch(config, seed))
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


def run_seed(
    config: ExperimentConfig, seed: int, folder: Path, observer: Observer | None = None
) -> TrainResult:
    """Train one seed, from its last checkpoint if it has one, and write its results.

    Args:
        config: of the run.
        seed: of the training; no other process may be at it (`opened` sees to that).
        folder: of the run.
        observer: watches besides the run's own.
    """
    place = RunFolder(folder).seed(seed)
    with os_errors_as_run_error(place.path, "the folder of a seed must be writable"):
        make_folder(place.path)
    generators, device = Generators(seed), machine_device(config.machine)
    note_environment(place.environment, environment(device))
    tasks = make_tasks(config.benchmark, benchmark_settings(config), seed)
    method = method_of(config, tasks[0], generators, device)
    with _observers(place, config, seed, method, observer or Observer()) as observers:
        result = train(
            method,
            tasks,
            settings=train_settings(config),
            generators=generators,
            observer=observers,
            device=device,
            checkpoints=CheckpointStore(place.checkpoints, owner(config, seed)),
        )
    write_weights(place.weights, method.state_dict())
    _write_matrices(place, result)
    write_result(place, config, seed, result)
    return result


@contextmanager
def _observers(
    folder: SeedFolder, config: ExperimentConfig, seed: int, method: Method, progress: Observer
) -> Iterator[Observer]:
    """The logs, the loggers that are asked for, and the `progress`."""
    with ExitStack() as stack:
        boards = [
            LOGGERS[name](folder.path / file_name(name), folder.samples)
            for name in loggers_of(config.machine)
        ]
        for board in boards:
            stack.callback(getattr(board, "close", lambda: None))
        told = [board.add_metrics for board in boards if hasattr(board, "add_metrics")]

        def tell(phase: Phase, iteration: int, numbers: Mapping[str, float]) -> None:
            for each in told:
                each(phase, iteration, numbers)

        log = MetricsLog(folder.metrics, on_metrics=tell) if told else MetricsLog(folder.metrics)
        yield ObserverGroup(log, SampleLog(folder.samples, method, seed), *boards, progress)


def _check_name(configs: Sequence[ExperimentConfig], place: Place) -> None:
    if place.name is None:
        return
    if len(configs) > 1:
        raise ConfigError(
            "--name names one run folder",
            got=f"{len(configs)} methods",
            hint="leave it out, or run one method at a time",
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
