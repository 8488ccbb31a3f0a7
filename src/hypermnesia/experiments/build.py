"""From a configuration to the things it describes, tried before a run begins."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch import nn

from hypermnesia.compute import deterministic_kernels
from hypermnesia.data.benchmarks import BenchmarkSettings, make_tasks
from hypermnesia.data.types import Task
from hypermnesia.errors import ConfigError, HypermnesiaError
from hypermnesia.evidence.autoencoders import AutoencoderSettings, ReplaySettings
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.evidence.likelihood import LikelihoodSettings
from hypermnesia.experiments.config import ExperimentConfig, MachineConfig
from hypermnesia.experiments.config_sections import OptimizerConfig
from hypermnesia.experiments.identity import FIELDS, trained
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.methods import METHODS, Method, TaskSpec
from hypermnesia.methods.lwf import DistillationSettings
from hypermnesia.methods.penalties import PenaltySettings
from hypermnesia.nets import NetSettings, build_net
from hypermnesia.optimizers import OPTIMIZERS, OptimizerSettings
from hypermnesia.registry import unknown_name
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.report.tensorboard import check_tensorboard
from hypermnesia.seeding import Generators
from hypermnesia.training.phases import TrainSettings, make_phases
from hypermnesia.vae import BoundSettings, VaeSettings

_OPTIONS = ("betas", "eps", "momentum", "weight_decay")


def benchmark_settings(config: ExperimentConfig) -> BenchmarkSettings:
    """What the configuration chooses about its benchmark."""
    folder = config.machine.data_dir
    return BenchmarkSettings(
        tasks=config.data.tasks,
        padding=config.data.padding,
        class_order=config.data.class_order,
        validation=config.data.validation,
        data_dir=None if folder is None else Path(folder),
    )


def build_method(
    config: ExperimentConfig,
    tasks: Sequence[Task],
    generators: Generators,
    device: torch.device,
) -> Method:
    """A newly built method for `tasks`, which share the shape of their samples."""
    network = build_network(config, tasks[0], generators)
    entry = METHODS[config.method]
    settings = {
        name: _SETTINGS[name](getattr(config, name)) for name in entry.settings if name in _SETTINGS
    }
    for section, fields in FIELDS.items():
        taken = fields & set(entry.settings)
        settings |= {name: getattr(getattr(config, section), name) for name in taken}
    if "vae" in entry.settings:
        settings = {name: each for name, each in settings.items() if not name.startswith("vae_")}
        settings |= {"vae": _autoencoders(config), "sample_shape": sample_shape(tasks[0])}
    own: dict[str, Any] = {"generators": generators, "device": device}
    if tasks[0].train.y.is_floating_point():
        own["criterion"] = F.mse_loss
    return entry.build(network, trained(config), **own, **settings)


def _autoencoders(config: ExperimentConfig) -> AutoencoderSettings:
    nested = ("hypernet", "regularizer", "optimizer", "embedding_optimizer")
    own = {name: _SETTINGS[name](getattr(config, f"vae_{name}")) for name in nested}
    return AutoencoderSettings(**dict(config.vae), **own)


def sample_shape(task: Task) -> torch.Size:
    """The shape of a sample of `task`."""
    return task.train.batch(torch.zeros(1, dtype=torch.int64)).x.shape[1:]


def build_network(config: ExperimentConfig, task: Task, generators: Generators) -> nn.Module:
    """The target network, with the outputs of `task`.

    Raises:
        ConfigError: it does not exist, or cannot take samples of this shape.
    """
    shape = sample_shape(task)
    target = config.target
    net = NetSettings(target.net, target.hidden, target.dropout, target.activation)
    try:
        return build_net(net, shape, task.outputs, generators)
    except RuntimeError as error:
        if isinstance(error, HypermnesiaError):
            raise
        raise ConfigError(
            f"the network {net.name} must take samples of shape {tuple(shape)}",
            got=str(error).splitlines()[0],
            cure="choose another target.net or other target.hidden",
        ) from error


def optimizer_settings(config: OptimizerConfig) -> OptimizerSettings:
    """The optimiser that `config` describes.

    Raises:
        ConfigError: it does not exist, or takes no such option.
    """
    options: dict[str, Any] = {
        name: value for name in _OPTIONS if (value := getattr(config, name)) is not None
    }
    taken = inspect.signature(OPTIMIZERS[config.name]).parameters
    known = [name for name in _OPTIONS if name in taken]
    for name in options:
        if name not in known:
            raise unknown_name(f"option of {config.name}", name, known)
    return OptimizerSettings(config.name, config.lr, options, config.schedule, config.clip)


def _same_fields(settings: Callable[..., Any]) -> Callable[[BaseModel], Any]:
    return lambda section: settings(**dict(section))


_SETTINGS: dict[str, Callable[[Any], Any]] = {
    "hypernet": _same_fields(HypernetSettings),
    "regularizer": _same_fields(RegularizerSettings),
    "inference": _same_fields(EntropySettings),
    "penalty": _same_fields(PenaltySettings),
    "distillation": _same_fields(DistillationSettings),
    "optimizer": optimizer_settings,
    "embedding_optimizer": optimizer_settings,
    "replay": _same_fields(ReplaySettings),
    "bound": _same_fields(BoundSettings),
    "likelihood": _same_fields(LikelihoodSettings),
    "vae": _same_fields(VaeSettings),
    "vae_hypernet": _same_fields(HypernetSettings),
    "vae_regularizer": _same_fields(RegularizerSettings),
    "vae_optimizer": optimizer_settings,
    "vae_embedding_optimizer": optimizer_settings,
}
"""Sections of the configuration that methods read -> the library's settings."""


def train_settings(config: ExperimentConfig) -> TrainSettings:
    """How long and on what to train."""
    return TrainSettings(evaluate_on=config.data.evaluate_on, **dict(config.train))


def device_of(machine: MachineConfig) -> torch.device:
    """The device that the machine section asks for.

    Raises:
        ConfigError: a GPU is asked for and there is none.
    """
    found = torch.cuda.is_available()
    if machine.device == "cuda" and not found:
        raise ConfigError(
            "machine.device=cuda needs a GPU that torch can use",
            got="none",
            cure="use --device cpu or auto",
        )
    return torch.device("cuda" if found and machine.device != "cpu" else "cpu")


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
    batch = replace(batch, x=x, y=y, task=torch.full((len(y),), position, device=device))
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
