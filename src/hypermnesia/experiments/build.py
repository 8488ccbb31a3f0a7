"""From a configuration to the things it describes, tried before a run begins."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._pytree import tree_map

from hypermnesia.compute import deterministic_kernels, device_of
from hypermnesia.data.benchmarks import BenchmarkSettings, make_tasks
from hypermnesia.data.types import Task
from hypermnesia.errors import ConfigError, HypermnesiaError
from hypermnesia.experiments.config import FIELDS, ExperimentConfig, MachineSettings, trained
from hypermnesia.methods import METHODS, Method, TaskSpec, build_method
from hypermnesia.nets import build_net, net_settings
from hypermnesia.registry import Registry, must_be
from hypermnesia.seeding import Generators
from hypermnesia.training.phases import TrainSettings, make_phases

LOGGERS: Registry[Any] = Registry("logger", "loggers", must_be("a function or class"))
"""Observers of training that runs may have besides their own, by name.

An entry is (folder for its files, folder of the images of a generative memory) -> `Observer`. Where
it has them, `check()` of the entry is called before a run begins and raises `ConfigError`,
`add_metrics(phase, iteration, numbers)` of the observer follows the metrics that are logged, and
`close()` ends it.
"""

LOGGERS.add("tensorboard", "hypermnesia.report.tensorboard:TensorBoard")


def loggers_of(machine: MachineSettings) -> tuple[str, ...]:
    """Names of the loggers that are asked for."""
    return (*(("tensorboard",) if machine.tensorboard else ()), *machine.loggers)


def benchmark_settings(config: ExperimentConfig) -> BenchmarkSettings:
    """What the configuration chooses about its benchmark."""
    folder = config.machine.data_dir
    chosen = {field.name: getattr(config.data, field.name) for field in fields(BenchmarkSettings)}
    return BenchmarkSettings(**chosen | {"data_dir": None if folder is None else Path(folder)})


def method_of(
    config: ExperimentConfig, task: Task, generators: Generators, device: torch.device
) -> Method:
    """A newly built method for tasks whose samples are of the shape of those of `task`."""
    network = build_network(config, task, generators)
    settings = {name: getattr(config, name) for name in METHODS[config.method].sections}
    for section, names in FIELDS.items():
        settings |= {name: getattr(getattr(config, section), name) for name in names}
    regression = task.train.y.is_floating_point()
    return build_method(
        config.method,
        network,
        trained(config),
        settings,
        generators=generators,
        device=device,
        sample_shape=sample_shape(task),
        criterion=F.mse_loss if regression else F.cross_entropy,
    )


def sample_shape(task: Task) -> Any:
    """The shape of a sample of `task`; of each of its tensors, if it is a tree of several."""
    x = task.train.batch(torch.zeros(1, dtype=torch.int64)).x
    return tree_map(lambda tensor: tuple(tensor.shape[1:]), x)


def build_network(config: ExperimentConfig, task: Task, generators: Generators) -> nn.Module:
    """The target network, with the outputs of `task`.

    Raises:
        ConfigError: it does not exist, or cannot take samples of this shape.
    """
    name, shape = config.target.net, sample_shape(task)
    kind = net_settings(name)
    settings = kind(**{each.name: getattr(config.target, each.name) for each in fields(kind)})
    try:
        return build_net(name, shape, task.outputs, generators, settings)
    except RuntimeError as error:
        if isinstance(error, HypermnesiaError):
            raise
        raise ConfigError(
            f"the network {name} must take samples of shape {shape}",
            got=str(error).splitlines()[0],
            hint="choose another target.net or other settings of target",
        ) from error


def train_settings(config: ExperimentConfig) -> TrainSettings:
    """How long and on what to train."""
    return replace(config.train, evaluate_on=config.data.evaluate_on)


def machine_device(machine: MachineSettings) -> torch.device:
    """The device that the machine section asks for.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    return device_of(None if machine.device == "auto" else machine.device)


def rehearse(config: ExperimentConfig) -> None:
    """Read the data, build everything and try it on a small batch of a task of each width.

    Raises:
        HypermnesiaError: data that are missing or damaged, settings that do not fit together, a
            package that is missing.
    """
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
            method = method_of(config, tasks[0], Generators(seed), device)
            for position, task in enumerate(sorted(widths.values(), key=lambda task: task.index)):
                _try(method, task, position, samples, device)
    except HypermnesiaError:
        raise
    except (MemoryError, RuntimeError, ValueError) as error:
        raise _as_config_error(error, samples) from error


def _try(method: Method, task: Task, position: int, samples: int, device: torch.device) -> None:
    """One update and one answer; `position` is where the task stands in the rehearsal."""
    batch = task.train.batch(torch.arange(samples))
    x, y = batch.x.to(device), batch.y.to(device)
    method.begin_task(TaskSpec(task.outputs, iterations=1))
    batch = replace(batch, x=x, y=y, task=torch.full((len(y),), position, device=device))
    method.update(batch)
    method.end_task([batch])
    for scenario in method.answers:
        method.predict(x, position if scenario == "task" else None, scenario)


def _as_config_error(error: Exception, samples: int) -> ConfigError:
    first = str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, MemoryError) or "memory" in first.lower():
        hint = "choose smaller values in target.hidden or hypernet"
        return ConfigError("the networks must fit into memory", got=first, hint=hint)
    if "deterministic" in first:
        hint = "set compute.deterministic=false, or train on the CPU"
        return ConfigError("compute.deterministic needs such kernels", got=first, hint=hint)
    return ConfigError(
        f"the networks must be able to learn from a batch of {samples}",
        got=first,
        hint="change the settings of target (target.head among them), hypernet or train.batch_size",
    )
