"""From a configuration to the things it describes: tasks, method, training settings, device."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from hypermnesia.data.settings import BenchmarkSettings
from hypermnesia.data.types import Task
from hypermnesia.distillation import DistillationSettings
from hypermnesia.errors import ConfigError, HypermnesiaError
from hypermnesia.experiments.config import ExperimentConfig, MachineConfig
from hypermnesia.experiments.config_sections import OptimizerConfig
from hypermnesia.experiments.reads import FIELDS
from hypermnesia.experiments.scenarios import trained
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.inference import EntropySettings
from hypermnesia.methods import METHODS, Method
from hypermnesia.methods.likelihood import LikelihoodSettings
from hypermnesia.methods.penalty import PenaltySettings
from hypermnesia.methods.replay import ReplaySettings
from hypermnesia.methods.vae_memory import Autoencoders
from hypermnesia.nets import NetSettings, build_net
from hypermnesia.optimizers import OPTIMIZERS, OptimizerSettings
from hypermnesia.registry import unknown_name
from hypermnesia.regularizers import RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.training.phases import TrainSettings
from hypermnesia.vae import BoundSettings, VaeSettings, build_vae

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
        settings["vae"] = build_vae(settings["vae"], sample_shape(tasks[0]), generators)
    own = {"generators": generators, "device": device}
    return entry.build(network, trained(config), **own, **Autoencoders.gathered(settings))


def sample_shape(task: Task) -> torch.Size:
    """The shape of a sample of `task`."""
    return task.train.batch(torch.zeros(1, dtype=torch.int64)).x.shape[1:]


def build_network(config: ExperimentConfig, task: Task, generators: Generators) -> nn.Module:
    """The target network, with the outputs of `task`.

    Raises:
        ConfigError: it does not exist, or cannot take samples of this shape.
    """
    shape = sample_shape(task)
    net = NetSettings(config.target.net, config.target.hidden, config.target.dropout)
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
