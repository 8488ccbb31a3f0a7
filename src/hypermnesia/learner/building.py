"""From a learner's settings and the design of its first task to a method that knows no task."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import ConfigError, TargetError
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.target import Target
from hypermnesia.learner.design import AutoencoderDesign, Design, LearnerSettings, hypernet_sizes
from hypermnesia.learner.targets import LOSSES, Problem
from hypermnesia.methods import METHODS, Method, MethodEntry, build_method
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.vae import BoundSettings, CentredVae

if TYPE_CHECKING:
    from hypermnesia.evidence.autoencoders import AutoencoderSettings

_BY_EVIDENCE = {None: "hnet", "entropy": "hnet-ent", "likelihood": "hnet-lik"}
_SCHEDULE = {0.5: 0.3, 0.75: 0.1, 0.9: 0.03}
_BOUND = BoundSettings(divergence=2)  # as on Split MNIST
# β of the autoencoders over that of the networks: their losses are of other sizes. Powers of ten
# tried on scikit-learn's digits and wine.
_VAE_BETA = {"bernoulli": 0.1, "gaussian": 10.0}


def method_entry(settings: LearnerSettings) -> MethodEntry:
    """The registered method that the settings ask for; `hnet` with the evidence chosen."""
    return METHODS[
        _BY_EVIDENCE[settings.infer_task] if settings.method == "hnet" else settings.method
    ]


def scenario_of(settings: LearnerSettings, problem: Problem) -> ScenarioName:
    """The scenario to train for.

    Raises:
        ConfigError: the method does not answer in it.
    """
    entry = method_entry(settings)
    if entry.trained == "once":  # with heads for each task, whatever it answers in
        return "task"
    wanted: ScenarioName = "domain" if problem == "regression" else "class"
    if settings.infer_task is None:
        wanted = "task"
    if wanted not in entry.scenarios:
        raise ConfigError(
            f"{entry.name} must be told the task of every sample",
            got=f"infer_task={settings.infer_task!r}",
            hint="set infer_task=None, and name the task to predict",
        )
    return wanted


def generated_names(model: nn.Module, settings: LearnerSettings) -> list[str]:
    """Patterns of the parameters that are generated; by default all that are not frozen.

    Raises:
        TargetError: all are frozen, or there are none.
    """
    if settings.generated is not None:
        return list(settings.generated)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not names:
        raise TargetError(
            "a model must have parameters that are not frozen",
            got=f"{type(model).__name__} with none",
            hint="name those that each task is to have for itself in generated",
        )
    return names


def model_sizes(model: nn.Module, settings: LearnerSettings, outputs: int) -> HypernetSettings:
    """Sizes of the hypernetwork for a model with so many outputs."""
    layout = Target(model, generated_names(model, settings), settings.head).layout(outputs)
    return hypernet_sizes(layout.total, settings.compression)


def method_of(
    model: nn.Module,
    settings: LearnerSettings,
    design: Design,
    generators: Generators,
    device: torch.device,
) -> Method:
    """A method that knows no task yet.

    Raises:
        ConfigError: the method cannot learn tasks one after another, or not in the scenario.
    """
    entry, scenario = method_entry(settings), scenario_of(settings, design.problem)
    optimizer = OptimizerSettings(lr=settings.lr, schedule=_SCHEDULE)
    regularizer = RegularizerSettings(beta=settings.beta)
    sections: dict[str, Any] = {
        "hypernet": design.hypernet,
        "regularizer": regularizer,
        "optimizer": optimizer,
        "embedding_optimizer": optimizer,
        "generated": generated_names(model, settings),
        "head": settings.head,
        "bound": _BOUND,
    }
    sample_shape: tuple[int, ...] = ()
    if design.autoencoder is not None:
        sample_shape = design.autoencoder.sample_shape
        sections["vae"] = _autoencoders(design.autoencoder, regularizer, optimizer)
        if "likelihood" in entry.sections:
            sections["template"] = _template(design.autoencoder, generators)
            sections["view"] = design.autoencoder.view
    method = build_method(
        entry,
        model,
        scenario,
        sections,
        generators=generators,
        device=device,
        sample_shape=sample_shape,
        criterion=LOSSES[design.problem],
    )
    if method.trains_on == "all":
        raise ConfigError(
            "a learner learns one task after another",
            got=f"method={entry.name!r}, which needs the data of all tasks at once",
            hint="choose another method",
        )
    return method


def _autoencoders(
    design: AutoencoderDesign, regularizer: RegularizerSettings, optimizer: OptimizerSettings
) -> AutoencoderSettings:
    from hypermnesia.evidence.autoencoders import AutoencoderSettings

    beta = _VAE_BETA[design.vae.likelihood] * regularizer.beta
    return AutoencoderSettings(
        **asdict(design.vae),
        hypernet=design.hypernet,
        regularizer=replace(regularizer, beta=beta),
        optimizer=optimizer,
        embedding_optimizer=replace(optimizer, lr=10 * optimizer.lr),
    )


def _template(design: AutoencoderDesign, generators: Generators) -> CentredVae:
    with generators.as_global("vae"):
        return CentredVae(design.sample_shape, design.vae)
