"""All that a learner has learned, which a fit replaces as a whole or not at all."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.errors import ConfigError, HypermnesiaError, TargetError
from hypermnesia.evidence.autoencoders import AutoencoderSettings
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.evidence.likelihood import LikelihoodSettings
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.target import Target
from hypermnesia.learner.design import AutoencoderDesign, Design, LearnerSettings, hypernet_sizes
from hypermnesia.learner.inputs import Source
from hypermnesia.learner.targets import LOSSES, Problem, Targets
from hypermnesia.methods.hnet import HypernetMethod, hnet_ent, hnet_lik
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.vae import BoundSettings, CentredVae

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
        own = _autoencoders(design.autoencoder, common, generators)
        return hnet_lik(model, "task", bound=_BOUND, **own, **common)
    if settings.infer_task == "entropy":
        return hnet_ent(model, "task", inference=EntropySettings(), **common)
    return HypernetMethod(model, "task", **common)


def _autoencoders(
    design: AutoencoderDesign, common: dict[str, Any], generators: Generators
) -> dict[str, Any]:
    """What `hnet-lik` is told of its autoencoders."""
    with generators.as_global("vae"):
        template = CentredVae(design.sample_shape, design.vae)
    held = common["regularizer"]
    vae = AutoencoderSettings(
        **asdict(design.vae),
        hypernet=design.hypernet,
        regularizer=replace(held, beta=_HELD[design.vae.likelihood] * held.beta),
        optimizer=common["optimizer"],
        embedding_optimizer=replace(common["optimizer"], lr=10 * common["optimizer"].lr),
    )
    shape = design.sample_shape
    own = {"vae": vae, "sample_shape": shape, "likelihood": LikelihoodSettings()}
    return own | {"template": template, "view": design.view}


@dataclass(frozen=True)
class TaskRecord:
    """What is known of a task besides its weights.

    Attributes:
        name: what the user calls it.
        targets: what its outputs stand for.
        samples: number learned from, over all fits.
        updates: number taken, over all fits.
    """

    name: str | int
    targets: Targets
    samples: int = 0
    updates: int = 0


class Knowledge:
    """A method, its random numbers, and records of the tasks that it knows.

    Args:
        model: template of the target networks, left unchanged.
        settings: the user's choices.
        design: what the first task settled.
        device: where everything lives.
    """

    def __init__(
        self, model: nn.Module, settings: LearnerSettings, design: Design, device: torch.device
    ) -> None:
        self.model, self.settings, self.design, self.device = model, settings, design, device
        self.generators = Generators(settings.seed)
        self.method: HypernetMethod = build_method(model, settings, design, self.generators, device)
        self.records: list[TaskRecord] = []

    def index(self, name: str | int) -> int | None:
        """The index of a task; None for a new one."""
        names = [record.name for record in self.records]
        return names.index(name) if name in names else None

    def count(self, index: int, *, samples: int, updates: int) -> None:
        """Note that a task learned from more samples, in more updates."""
        record = self.records[index]
        samples, updates = record.samples + samples, record.updates + updates
        self.records[index] = replace(record, samples=samples, updates=updates)

    def copy(self) -> Knowledge:
        """The same, of which a change changes nothing here."""
        other = Knowledge(self.model, self.settings, self.design, self.device)
        other.load_state_dict(copy.deepcopy(self.state_dict()))
        other.records = list(self.records)
        return other

    def state_dict(self) -> State:
        """Weights and random numbers."""
        return {"method": self.method.state_dict(), "generators": self.generators.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Put newly built knowledge where `state_dict` found the other."""
        self.method.load_state_dict(state["method"])
        self.generators.load_state_dict(state["generators"])


def check_task_name(name: object, known: Sequence[str | int]) -> None:
    """Raise `ConfigError` unless a task can be called so beside the known ones."""
    kinds = {type(each) for each in known} or {str, int}
    if type(name) not in kinds:
        raise ConfigError(
            "tasks are named by strings, or all of them by integers",
            got=f"{name!r:.40}",
            cure="name it as the others, or the first one by a string",
        )


_REFUSALS = (RuntimeError, ValueError, TypeError, IndexError)  # torch's, of inputs that do not fit


def check_module(model: object) -> None:
    """Raise `TargetError` unless it is a module."""
    if not isinstance(model, nn.Module):
        got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
        raise TargetError(
            "the model must be a torch.nn.Module", got=got, cure="make one, or wrap it in one"
        )


@contextmanager
def taking(x: Tensor) -> Iterator[None]:
    """Tells of a model that refuses (batch, *sample) inputs which rule they break.

    Raises:
        TargetError: it does.
    """
    try:
        yield
    except (HypermnesiaError, torch.OutOfMemoryError):
        raise
    except _REFUSALS as error:
        raise refused(x, _said(error)) from error


def refused(x: Tensor, got: str) -> TargetError:
    """The error of (batch, *sample) inputs for which a model gives no scores."""
    return TargetError(
        f"the model must take inputs of shape {tuple(x.shape)} and type {x.dtype}",
        got=got,
        cure="reshape the inputs, or convert them to floats if they are no ids",
    )


@torch.no_grad()
def check_model(model: nn.Module, source: Source) -> None:
    """Raise `TargetError` unless the model takes such inputs and gives scores for each of them."""
    x, probe = _first(source), copy.deepcopy(model).cpu().eval()
    with taking(x):
        scores = probe(x)
    if not isinstance(scores, Tensor) or scores.ndim != 2 or len(scores) != len(x):
        got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise TargetError(
            "the model must give (batch, outputs) scores", got=got, cure="wrap it so that it does"
        )


@torch.no_grad()
def check_network(network: nn.Module, source: Source, outputs: int, problem: Problem) -> None:
    """Raise `TargetError` unless a new task's network gives its number of plain scores.

    Args:
        network: the model, whose output layer was given as many outputs as the task needs.
        source: inputs of the task.
        outputs: the number that it needs.
        problem: what they stand for.
    """
    cure = "name the output layer (head=...), a linear one"
    rule = f"the network must give (batch, {outputs}) for a task with {outputs} outputs"
    x = _first(source)
    try:
        scores = network(x)
    except _REFUSALS as error:
        raise TargetError(rule, got=_said(error), cure=cure) from error
    if scores.shape[1:] != (outputs,):
        raise TargetError(rule, got=tuple(scores.shape), cure=cure)
    if problem == "classification" and outputs > 1 and _is_softmax(scores):
        raise TargetError(
            "the model must give scores from which a softmax makes probabilities",
            got="probabilities",
            cure="leave the softmax at its end out",
        )


def _is_softmax(scores: Tensor) -> bool:
    sums = scores.sum(dim=1)
    return bool((scores >= 0).all() and torch.allclose(sums, torch.ones_like(sums)))


def _said(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _first(source: Source) -> Tensor:
    return source.read(torch.arange(min(2, len(source))))
