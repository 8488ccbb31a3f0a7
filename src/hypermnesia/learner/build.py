"""The method that a learner learns by, from its settings and its design."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from hypermnesia.errors import TargetError
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.target import Target
from hypermnesia.inference import EntropySettings
from hypermnesia.learner.autoencoder import CentredVae
from hypermnesia.learner.design import AutoencoderDesign, Design
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.sizes import hypernet_sizes
from hypermnesia.learner.targets import LOSSES
from hypermnesia.methods.entropy import HypernetEntropy
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.methods.likelihood import HypernetLikelihood
from hypermnesia.methods.vae_memory import Autoencoders
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularizers import RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.vae import BoundSettings

_FALLING = {0.5: 0.3, 0.75: 0.1, 0.9: 0.03}
_BOUND = BoundSettings(divergence=2)  # as on Split MNIST
# β of the autoencoders over that of the networks: their losses are of other sizes. Powers of ten
# tried on scikit-learn's digits and wine.
_HELD = {"bernoulli": 0.1, "gaussian": 10.0}


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
            cure="name those that each task is to have for itself in generated",
        )
    return names


def model_sizes(model: nn.Module, settings: LearnerSettings, outputs: int) -> HypernetSettings:
    """Sizes of the hypernetwork for a model with so many outputs.

    Raises:
        TargetError: the model has nothing to generate, or its head cannot have these outputs.
        ConfigError: a compression that is too small.
    """
    layout = Target(model, generated_names(model, settings), settings.head).layout(outputs)
    return hypernet_sizes(layout.total, settings.compression)


def build_method(
    model: nn.Module,
    settings: LearnerSettings,
    design: Design,
    generators: Generators,
    device: torch.device,
) -> HypernetMethod:
    """A method that knows no task yet."""
    optimizer = OptimizerSettings(lr=settings.lr, schedule=_FALLING)
    common: dict[str, Any] = {
        "hypernet": design.hypernet,
        "regularizer": RegularizerSettings(beta=settings.beta),
        "optimizer": optimizer,
        "embedding_optimizer": optimizer,
        "generators": generators,
        "device": device,
        "generated": generated_names(model, settings),
        "head": settings.head,
        "criterion": LOSSES[design.problem],
    }
    if design.autoencoder is not None:
        learned = _autoencoders(design.autoencoder, common, generators)
        view = design.autoencoder.view
        return HypernetLikelihood(
            model, "task", autoencoders=learned, bound=_BOUND, view=view, **common
        )
    if settings.infer_task == "entropy":
        return HypernetEntropy(model, "task", inference=EntropySettings(), **common)
    return HypernetMethod(model, "task", **common)


def _autoencoders(
    design: AutoencoderDesign, common: dict[str, Any], generators: Generators
) -> Autoencoders:
    with generators.as_global("vae"):
        vae = CentredVae(design.sample_shape, design.vae)
    held = common["regularizer"]
    return Autoencoders(
        vae=vae,
        vae_hypernet=design.hypernet,
        vae_regularizer=replace(held, beta=_HELD[design.vae.likelihood] * held.beta),
        vae_optimizer=common["optimizer"],
        vae_embedding_optimizer=replace(common["optimizer"], lr=10 * common["optimizer"].lr),
    )
