"""Runs: everything checked first, then one training after another, continued where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from hypermnesia.data.benchmarks import make_tasks
from hypermnesia.durable import write_bytes, write_json
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.build import (
    benchmark_settings,
    build_method,
    device_of,
    train_settings,
)
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.environment import environment
from hypermnesia.experiments.identity import identity
from hypermnesia.experiments.results import RunSummary, summarize, write_seed
from hypermnesia.experiments.run_folder import RunFolder, SeedFolder, opened
from hypermnesia.methods import Method, TaskSpec
from hypermnesia.seeding import Generators
from hypermnesia.training.checkpoint import CheckpointStore
from hypermnesia.training.loop import train
from hypermnesia.training.metrics_log import MetricsLog
from hypermnesia.training.observer import Observer, ObserverGroup
from hypermnesia.training.pack import pack
from hypermnesia.training.phases import make_phases

Watch = Callable[[ExperimentConfig, int], Observer]
"""(configuration, seed) -> who shows the progress of that training."""


@dataclass(frozen=True)
class Place:
    """Where run folders go.

    Attributes:
        out: folder that holds them.
        name: name of the run folder; None for `<benchmark>_<method>_<scenario>`.
        overwrite: replace another run in its place.
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
        finished = () if place.overwrite else RunFolder(place.folder(config)).finished_seeds()
        if not set(config.seeds) <= set(finished):
            rehearse(config)
    with ExitStack() as stack:
        folders = [
            stack.enter_context(opened(place.folder(config), config, overwrite=place.overwrite))
            for config in configs
        ]
        runs = zip(folders, configs, strict=True)
        return [_run_seeds(folder, config, config.seeds, watch) for folder, config in runs]


def resume(path: Path, watch: Watch, changes: dict[str, object] | None = None) -> RunSummary:
    """Finish every seed of the run in the folder at `path`.

    Args:
        path: the run folder.
        watch: shows the progress.
        changes: fields of the machine section to change.
    """
    config = RunFolder(path).read_config()
    if changes:
        machine = config.machine.model_copy(update=changes)
        config = config.model_copy(update={"machine": machine})
    rehearse(config)
    with opened(path, config, overwrite=False) as folder:
        return _run_seeds(folder, config, config.seeds, watch)


def rehearse(config: ExperimentConfig) -> None:
    """Read the data and build everything once, so that nothing is found wrong half-way.

    Raises:
        HypermnesiaError: data that are missing or damaged, settings that do not fit together.
    """
    seed = config.seeds[0]
    tasks = make_tasks(config.benchmark, benchmark_settings(config), seed)
    make_phases(tasks, train_settings(config), "task")
    try:
        method = build_method(config, tasks, Generators(seed), device_of(config.machine))
        method.begin_task(TaskSpec(tasks[0].outputs, iterations=1))
    except (MemoryError, RuntimeError) as error:
        if "memory" not in str(error).lower():
            raise
        raise ConfigError(
            "the networks must fit into memory",
            got=str(error).splitlines()[0],
            cure="choose smaller values in target.hidden or hypernet",
        ) from error


def _run_seeds(
    folder: RunFolder, config: ExperimentConfig, seeds: Sequence[int], watch: Watch
) -> RunSummary:
    if config.machine.threads is not None:
        torch.set_num_threads(config.machine.threads)
    unfinished = [seed for seed in seeds if not folder.seed(seed).finished]
    if unfinished:
        write_json(folder.environment, environment())
    for seed in unfinished:
        _run_seed(folder.seed(seed), config, seed, watch(config, seed))
    everyone = sorted({*seeds, *folder.finished_seeds()})
    return summarize(folder, config, everyone)


def _run_seed(folder: SeedFolder, config: ExperimentConfig, seed: int, observer: Observer) -> None:
    folder.path.mkdir(exist_ok=True)
    owner = f"{identity(config)}/seed-{seed}"
    generators, device = Generators(seed), device_of(config.machine)
    tasks = make_tasks(config.benchmark, benchmark_settings(config), seed)
    method = build_method(config, tasks, generators, device)
    result = train(
        method,
        tasks,
        settings=train_settings(config),
        generators=generators,
        observer=ObserverGroup(MetricsLog(folder.metrics), observer),
        device=device,
        checkpoints=CheckpointStore(folder.checkpoints, owner),
    )
    _write_weights(folder.weights, method)
    write_seed(folder, seed, owner, result)


def _write_weights(path: Path, method: Method) -> None:
    tree, tensors = pack(method.state_dict())
    write_bytes(path, safetensors.torch.save(tensors, metadata={"state": json.dumps(tree)}))


def _check_name(configs: Sequence[ExperimentConfig], place: Place) -> None:
    if place.name is None:
        return
    if len(configs) > 1:
        raise ConfigError(
            "--name names one run folder",
            got=f"{len(configs)} methods",
            cure="leave it out, or run one method at a time",
        )
    if place.name in ("", "..") or Path(place.name).name != place.name:
        raise ConfigError("--name must be the name of a folder inside --out", got=f"'{place.name}'")
