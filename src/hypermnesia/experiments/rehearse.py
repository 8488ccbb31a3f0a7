"""A run's first steps, taken before it begins, so that nothing is found wrong half-way."""

from __future__ import annotations

from dataclasses import replace

import torch

from hypermnesia.data.benchmarks import make_tasks
from hypermnesia.data.types import Task
from hypermnesia.errors import ConfigError, HypermnesiaError
from hypermnesia.experiments.build import (
    benchmark_settings,
    build_method,
    device_of,
    train_settings,
)
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.determinism import deterministic_kernels
from hypermnesia.experiments.tensorboard import check_tensorboard
from hypermnesia.methods import Method, TaskSpec
from hypermnesia.seeding import Generators
from hypermnesia.training.phases import make_phases


def rehearse(config: ExperimentConfig) -> None:
    """Read the data, build everything and try it on a small batch of a task of each width.

    Raises:
        HypermnesiaError: data that are missing or damaged, settings that do not fit together, a
            package that is missing.
    """
    if config.machine.tensorboard:
        check_tensorboard()
    seed, device = config.seeds[0], device_of(config.machine)
    tasks = make_tasks(config.benchmark, benchmark_settings(config), seed)
    settings = train_settings(config)
    make_phases(tasks, settings, "task")
    samples = min(2, settings.batch_size, *(len(task.train) for task in tasks))
    widths = {task.outputs: task for task in reversed(tasks)}
    try:
        with deterministic_kernels(config.compute.deterministic):
            method = build_method(config, tasks, Generators(seed), device)
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
    batch = replace(batch, x=x, y=y, task=torch.full_like(y, position))
    method.update(batch)
    method.end_task([batch])
    for scenario in method.answers:
        method.predict(x, position if scenario == "task" else None, scenario)


def _as_config_error(error: Exception, samples: int) -> ConfigError:
    first = str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, MemoryError) or "memory" in first.lower():
        cure = "choose smaller values in target.hidden or hypernet"
        return ConfigError("the networks must fit into memory", got=first, cure=cure)
    if "deterministic" in first:
        cure = "set compute.deterministic=false, or train on the CPU"
        return ConfigError("compute.deterministic needs such kernels", got=first, cure=cure)
    return ConfigError(
        f"the networks must be able to learn from a batch of {samples}",
        got=first,
        cure="change the settings of target (target.head among them), hypernet or train.batch_size",
    )
