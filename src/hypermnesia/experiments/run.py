"""Runs: built and tried before they begin, trained seed by seed, continued where they stopped."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils._pytree import tree_map

from hypermnesia.compute import deterministic_kernels, device_of
from hypermnesia.data.benchmarks import BenchmarkSettings, make_tasks
from hypermnesia.data.types import Task
from hypermnesia.errors import ConfigError, HypermnesiaError
from hypermnesia.experiments import config as schema
from hypermnesia.experiments import results
from hypermnesia.experiments.config import FIELDS, ExperimentConfig, MachineSettings
from hypermnesia.experiments.doctor import environment, note_environment
from hypermnesia.experiments.results import RunSummary
from hypermnesia.experiments.run_folder import RunFolder, SeedFolder, opened
from hypermnesia.methods import METHODS, Method, TaskSpec, build_method
from hypermnesia.nets import build_net
from hypermnesia.optimizers import identity
from hypermnesia.parallel import NoDropout, Ranks, check_network, here
from hypermnesia.registry import Registry, must_be
from hypermnesia.seeding import Generators
from hypermnesia.storage import make_folder, os_errors_as_run_error, write_json
from hypermnesia.training.checkpoint import CheckpointStore
from hypermnesia.training.evaluation import TrainResult
from hypermnesia.training.logs import MetricsLog, SampleLog
from hypermnesia.training.loop import train
from hypermnesia.training.observers import Observer, ObserverGroup
from hypermnesia.training.phases import Phase, TrainSettings, make_phases
from hypermnesia.training.ranks import parts_taker

_LONGEST_NAME = 240  # bytes: nearly every file system takes 255, some are for an ending

LOGGERS: Registry[Any] = Registry("logger", "loggers", must_be("a function or class"))
"""Observers of training that runs may have besides their own, by name.

An entry is (folder for its files, folder of the images of a generative memory) -> `Observer`, best
a `hypermnesia.report.logger.Logger`. If it
has them, its `check()` is called before a run begins and raises `ConfigError`, the observer's
`add_metrics(phase, iteration, numbers)` follows the metrics that are logged, `close()` ends it.
"""

LOGGERS.add("tensorboard", "hypermnesia.report.tensorboard:TensorBoard")
LOGGERS.add("mlflow", "hypermnesia.report.mlflow:MLflow")
LOGGERS.add("wandb", "hypermnesia.report.wandb:WeightsAndBiases")
Watch = Callable[[ExperimentConfig, int], Observer]  # -> who shows progress; the second is a seed


@dataclass(frozen=True)
class Place:
    """Where run folders go; to `overwrite` begins a run's seeds anew, or replaces another run."""

    out: Path = Path("runs")
    name: str | None = None
    overwrite: bool = False

    def folder(self, config: ExperimentConfig) -> Path:
        """The run folder of `config`."""
        return self.out / (self.name or run_name(config))


def run_name(config: ExperimentConfig) -> str:
    """`<benchmark>_<method>_<scenario>`, a name that a folder can have."""
    return f"{config.benchmark}_{config.method}_{config.scenario}".replace(":", ".")


def run_all(configs: Sequence[ExperimentConfig], place: Place, watch: Watch) -> list[RunSummary]:
    """Run every configuration with each of its seeds; what is finished already is kept.

    What a user can mend is raised before the first training begins, where it can be known by then.
    """
    check_place(configs, place)
    places = [(place.folder(config), config) for config in configs]
    for path, config in places:
        if place.overwrite or RunFolder(path).unfinished(config.seeds):
            rehearse(config)
    with ExitStack() as stack:
        ready = (opened(path, config, overwrite=place.overwrite) for path, config in places)
        folders = [stack.enter_context(each) for each in ready]
        return [_finished(*run, watch) for run in zip(folders, configs, strict=True)]


def check_place(configs: Sequence[ExperimentConfig], place: Place) -> None:
    """Raise `ConfigError` where a place's name is none, or is given for several runs."""
    if place.name is not None:
        check_file_name(place.name)
        if len(configs) > 1:
            got, hint = f"{len(configs)} methods", "leave it out, or run one method at a time"
            raise ConfigError("--name names one run folder", got=got, hint=hint)


def resume(
    path: Path,
    watch: Watch,
    changes: Mapping[str, object] | None = None,
    seeds: Sequence[int] | None = None,
) -> RunSummary:
    """Finish a run, or some `seeds` of it, with `changes` of machine section; raises for others."""
    config = RunFolder(path).read_config()
    if others := sorted({*(seeds or ())} - {*config.seeds}):
        known = ", ".join(map(str, config.seeds))
        raise ConfigError("seeds must be of the run", got=others[0], hint=f"it has {known}")
    if seeds is not None:
        config = config.model_copy(update={"seeds": tuple(seeds)})
    if changes:
        machine = {**asdict(config.machine), **changes}
        config = schema.validated({**config.model_dump(), "machine": machine})
    if changes or RunFolder(path).unfinished(config.seeds):
        rehearse(config)
    with opened(path, config, overwrite=False) as folder:
        return _finished(folder, config, watch)


def _finished(folder: RunFolder, config: ExperimentConfig, watch: Watch) -> RunSummary:
    """Note what this process computes on, train what is unfinished, and sum up all seeds."""
    if config.machine.threads is not None:
        torch.set_num_threads(config.machine.threads)
    if unfinished := folder.unfinished(config.seeds):
        with folder.locked():
            write_json(folder.environment, environment(machine_device(config.machine)))
    for seed in unfinished:
        run_seed(config, seed, folder.path, watch(config, seed))
    with folder.locked():
        return results.summarize(folder, config, sorted({*config.seeds, *folder.finished_seeds()}))


def run_seed(
    config: ExperimentConfig, seed: int, folder: Path, observer: Observer | None = None
) -> TrainResult:
    """Train one `opened` seed, from its last checkpoint if it has one, and write its results.

    Among several ranks (`hypermnesia.parallel`) this is what rank 0 does; others `follow` it.
    """
    place = RunFolder(folder).seed(seed)
    with os_errors_as_run_error(place.path, "the folder of a seed must be writable"):
        make_folder(place.path)
    ranks, now = here(), environment(machine_device(config.machine))
    note_environment(place.environment, now if ranks is None else {**now, "ranks": ranks.world})
    if ranks is not None:
        ranks.busy = True
        ranks.told({"config": config.model_dump(mode="json"), "seed": seed})
    with prepared(config, seed) as (method, trained):
        store = CheckpointStore(place.checkpoints, schema.owner(config, seed))
        with _observers(place, config, seed, method, observer or Observer()) as watching:
            result = trained(observer=watching, checkpoints=store)
    if ranks is not None:
        ranks.busy = False
    results.write_weights(place.weights, method.state_dict())
    results.write_matrices(place, result.accuracy)
    results.write_result(place, config, seed, result)
    return result


def follow(ranks: Ranks, watch: Watch) -> None:
    """Take part in the trainings that rank 0 begins, until it has no more; write nothing."""
    while (job := ranks.told()) is not None:
        config, seed = schema.validated(job["config"]), job["seed"]
        if config.machine.threads is not None:
            torch.set_num_threads(config.machine.threads)
        with prepared(config, seed) as (_, trained):
            trained(observer=watch(config, seed))


@contextmanager
def prepared(
    config: ExperimentConfig, seed: int
) -> Iterator[tuple[Method, Callable[..., TrainResult]]]:
    """A new method, and `train` of it with all that a configuration says."""
    generators, device = Generators(seed), machine_device(config.machine)
    with deterministic_kernels(config.compute.deterministic):
        tasks = make_tasks(config.benchmark, benchmark_settings(config), seed)
        method = method_of(config, tasks[0], generators, device)
        own: dict[str, Any] = {"generators": generators, "device": device, "ranks": here()}
        yield method, partial(train, method, tasks, settings=train_settings(config), **own)


@contextmanager
def _observers(
    folder: SeedFolder, config: ExperimentConfig, seed: int, method: Method, progress: Observer
) -> Iterator[Observer]:
    """The logs, the loggers of the machine section, and the `progress`."""
    with ExitStack() as stack:
        names = loggers_of(config.machine)
        files = [folder.path / name.replace(":", ".") for name in names]
        boards = [LOGGERS[n](file, folder.samples) for n, file in zip(names, files, strict=True)]
        for board in boards:
            stack.callback(getattr(board, "close", lambda: None))
        followers = [board.add_metrics for board in boards if hasattr(board, "add_metrics")]

        def follow(phase: Phase, iteration: int, numbers: Mapping[str, float]) -> None:
            for add_metrics in followers:
                add_metrics(phase, iteration, numbers)

        log = MetricsLog(folder.metrics, on_metrics=follow if followers else None)
        yield ObserverGroup(log, SampleLog(folder.samples, method, seed), *boards, progress)


def check_file_name(name: str) -> None:
    """Raise `ConfigError` unless something inside a folder can be called `name`."""
    encoded = name.encode(errors="replace")  # a shell can hand over bytes that are no text
    plain = name not in ("", "..") and Path(name).name == name == encoded.decode()
    if not plain or len(encoded) > _LONGEST_NAME:
        raise ConfigError("--name must be a plain name inside --out", got=reprlib.repr(name))


def loggers_of(machine: MachineSettings) -> tuple[str, ...]:
    """Names of the loggers of a run."""
    return tuple(dict.fromkeys((*["tensorboard"] * machine.tensorboard, *machine.loggers)))


def benchmark_settings(config: ExperimentConfig) -> BenchmarkSettings:
    """What the configuration chooses about its benchmark."""
    folder = config.machine.data_dir
    chosen = {field.name: getattr(config.data, field.name) for field in fields(BenchmarkSettings)}
    return BenchmarkSettings(**chosen | {"data_dir": None if folder is None else Path(folder)})


def train_settings(config: ExperimentConfig) -> TrainSettings:
    """How long and on what to train."""
    return replace(config.train, evaluate_on=config.data.evaluate_on)


def machine_device(machine: MachineSettings) -> torch.device:
    """The device of the machine section; `ConfigError` for a GPU where there is none."""
    return device_of(None if machine.device == "auto" else machine.device)


def method_of(
    config: ExperimentConfig, task: Task, generators: Generators, device: torch.device
) -> Method:
    """A newly built method for tasks like `task`; raises `ConfigError` if the network cannot."""
    # The shape of a sample, or of each of its tensors.
    x = task.train.batch(torch.zeros(1, dtype=torch.int64)).x
    shape = tree_map(lambda tensor: tuple(tensor.shape[1:]), x)
    try:
        network = build_net(
            config.target.net, shape, task.outputs, generators, schema.net_of(config)
        )
    except RuntimeError as error:
        if isinstance(error, HypermnesiaError):
            raise
        rule = f"the network {config.target.net} must take samples of shape {shape}"
        hint = "choose another target.net or other settings of target"
        raise ConfigError(rule, got=str(error).splitlines()[0], hint=hint) from error
    if here() is not None:
        check_network(network)
    settings = {name: getattr(config, name) for name in METHODS[config.method].sections}
    for section, names in FIELDS.items():
        settings |= {name: getattr(getattr(config, section), name) for name in names}
    return build_method(
        config.method,
        network,
        schema.trained(config),
        settings,
        generators=generators,
        device=device,
        sample_shape=shape,
        criterion=F.mse_loss if task.train.y.is_floating_point() else F.cross_entropy,
    )


def rehearse(config: ExperimentConfig) -> None:
    """Build everything and try it on a small batch of each width; raises `HypermnesiaError`."""
    for name in loggers_of(config.machine):
        getattr(LOGGERS[name], "check", lambda: None)()
    seed, device = config.seeds[0], machine_device(config.machine)
    tasks = make_tasks(config.benchmark, benchmark_settings(config), seed)
    settings = train_settings(config)
    make_phases(tasks, settings, "task")
    samples = min(2, settings.batch_size, *(len(task.train) for task in tasks))
    widths = {task.outputs: task for task in reversed(tasks)}
    try:
        with deterministic_kernels(config.compute.deterministic):
            generators = Generators(seed)
            method = method_of(config, tasks[0], generators, device)
            if (ranks := here()) is not None:
                _check_parts(ranks, config, method, tasks)
                generators.within = partial(NoDropout, samples)
            for position, task in enumerate(sorted(widths.values(), key=lambda task: task.index)):
                _try(method, task, position, samples, device)
    except HypermnesiaError:
        raise
    except (MemoryError, RuntimeError, ValueError) as error:
        raise _as_config_error(error, samples) from error


def _check_parts(
    ranks: Ranks, config: ExperimentConfig, method: Method, tasks: Sequence[Task]
) -> None:
    """Raise `ConfigError` for a run that several ranks cannot share."""
    parts_taker(method)(identity)
    ranks.part(min(config.train.batch_size, *(len(task.train) for task in tasks)))
    if config.compute.compile:
        rule, hint = "several ranks train without torch.compile", "leave --compile out"
        raise ConfigError(rule, got="compute.compile=true", hint=hint)
    if any(task.train.y.ndim > 1 and not task.train.y.is_floating_point() for task in tasks):
        rule, hint = "several ranks need one label a sample", "train in one process"
        raise ConfigError(rule, got="a label for each position", hint=hint)


def _try(method: Method, task: Task, position: int, samples: int, device: torch.device) -> None:
    """Take one update and predict; `position` is where the task stands in the rehearsal."""
    batch = task.train.batch(torch.arange(samples))
    x, y = batch.x.to(device), batch.y.to(device)
    method.begin_task(TaskSpec(task.outputs, iterations=1))
    batch = replace(batch, x=x, y=y, task=torch.full((len(y),), position, device=device))
    method.update(batch)
    method.end_task([batch])
    for scenario in method.answers:
        method.predict(x, position if scenario == "task" else None, scenario)


def _as_config_error(error: Exception, samples: int) -> ConfigError:
    got = str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, MemoryError) or "memory" in got.lower():
        rule = "the networks must fit into memory"
        hint = "choose smaller values in target.hidden or hypernet"
    elif "deterministic" in got:
        rule = "compute.deterministic needs such kernels"
        hint = "set compute.deterministic=false, or train on the CPU"
    else:
        rule = f"the networks must be able to learn from a batch of {samples}"
        hint = "change settings of target (target.head among them), hypernet or train.batch_size"
    return ConfigError(rule, got=got, hint=hint)
