"""From a model and a first task to the sizes of all that is learned, and a method of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import ConfigError, DataError, TargetError
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.target import Target
from hypermnesia.learner.targets import LOSSES, Problem
from hypermnesia.methods import METHODS, Method, MethodEntry, build_method
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.registry import unknown_name
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.vae import BoundSettings, CentredVae, Vae, VaeSettings

if TYPE_CHECKING:
    from hypermnesia.evidence.autoencoders import AutoencoderSettings

TaskInference = Literal["likelihood", "entropy"]
"""How the task of an input can be inferred."""

SMALLEST = 4000
"""Learned values of a hypernetwork for the smallest models, for which fewer learn too little."""

_WIDTHS = (32, 24, 16, 12, 8)
_OVERHEAD = 1 / 8  # of all values, in what all chunks share
_LARGEST = 20_000  # entries of a sample that fully connected layers can do with
_NOISE = 0.3  # of an entry's deviation is what an autoencoder need not explain
_BY_EVIDENCE = {None: "hnet", "entropy": "hnet-ent", "likelihood": "hnet-lik"}
_SCHEDULE = {0.5: 0.3, 0.75: 0.1, 0.9: 0.03}
_BOUND = BoundSettings(divergence=2)  # as on Split MNIST
# β of the autoencoders over that of the networks: their losses are of other sizes. Powers of ten
# tried on scikit-learn's digits and wine.
_VAE_BETA = {"bernoulli": 0.1, "gaussian": 10.0}


@dataclass(frozen=True)
class LearnerSettings:
    """Choices of a `ContinualLearner`, which documents them; raises `ConfigError` for bad ones."""

    infer_task: TaskInference | None = "likelihood"
    method: str = "hnet"
    problem: Problem | None = None
    head: str | None = None
    generated: tuple[str, ...] | None = None
    compression: float | None = None
    beta: float = 0.1
    lr: float = 1e-3
    batch_size: int = 64
    iterations: int = 2000
    patience: int = 400
    validation: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for kind, given, known in (
            ("way to infer tasks", self.infer_task, get_args(TaskInference)),
            ("problem", self.problem, tuple(LOSSES)),
        ):
            if given is not None and given not in known:
                raise unknown_name(kind, given, known)
        self._check_types()
        for name in ("batch_size", "iterations", "patience"):
            if not getattr(self, name) >= 1:
                raise ConfigError(f"{name} must be 1 or more", got=getattr(self, name))
        if not 0 <= self.validation < 1:
            rule = "validation is the share of a task's samples that is held out, from 0 to below 1"
            raise ConfigError(rule, got=self.validation)
        for name in ("lr", "compression"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} must be above 0", got=value)
        if not 0 <= self.beta < math.inf:
            raise ConfigError("beta must be 0 or more", got=self.beta)

    def _check_types(self) -> None:
        for name in ("batch_size", "iterations", "patience", "seed"):
            if type(getattr(self, name)) is not int:
                got = repr(getattr(self, name))
                raise ConfigError(f"{name} must be a whole number", got=got, hint="give an int")
        for name in ("beta", "lr", "validation", "compression"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, int | float):
                raise ConfigError(f"{name} must be a number", got=repr(value))


def patterns(given: Sequence[str] | None) -> tuple[str, ...] | None:
    """Patterns of names, as they are kept; raises `ConfigError` for a single string."""
    if isinstance(given, str):  # whose letters would each be taken for a pattern
        raise ConfigError(
            "generated must be a list of patterns", got=repr(given), hint=f"give [{given!r}]"
        )
    return None if given is None else tuple(given)


class Moments:
    """Shape, range, means and deviations of (batch, *sample) inputs.

    Attributes:
        shape: of a sample.
        least: the smallest entry of all.
        most: the largest.
        mean: (entries of a sample,) means.
        deviation: (entries of a sample,) standard deviations; where there is none, the mean of
            the others, or 1.

    Raises `DataError` for inputs that are no floats, or not all of one shape.
    """

    def __init__(self, batches: Iterable[Tensor]) -> None:
        count, extremes = 0, []
        for x in batches:
            if not x.is_floating_point():
                rule = "likelihoods are of inputs that are real numbers"
                hint = "use infer_task='entropy', or convert measurements to floats"
                raise DataError(rule, got=f"ids ({str(x.dtype).removeprefix('torch.')})", hint=hint)
            if not count:
                self.shape = tuple(x.shape[1:])
                total = squares = torch.zeros(x[0].numel(), dtype=torch.float64)
            flat = x.flatten(1).double()
            if flat.shape[1] != len(total):
                raise DataError("likelihoods compare inputs of one shape", got=tuple(x.shape[1:]))
            total, squares = total + flat.sum(dim=0), squares + flat.square().sum(dim=0)
            extremes += [float(x.min()), float(x.max())]
            count += len(x)
        self.least, self.most = min(extremes), max(extremes)
        self.mean = (total / count).float()
        deviation = (squares / count - (total / count).square()).clamp(min=0).sqrt().float()
        usual = deviation[deviation > 0].mean() if bool(deviation.any()) else torch.tensor(1.0)
        self.deviation = deviation.where(deviation > 0, usual)

    @property
    def intensities(self) -> bool:
        """Whether all are in [0, 1]."""
        return self.least >= 0 and self.most <= 1


def autoencoder_sizes(weights: int, compression: float | None = None) -> HypernetSettings:
    """As of `hypernet_sizes`, in the form in which it learns autoencoders.

    One hidden layer, and new embeddings at the mean: chosen on Split MNIST (docs/results.md).
    """
    sizes = hypernet_sizes(weights, compression)
    return replace(sizes, hidden=sizes.hidden[:1], activation="relu", embedding_start="mean")


def hypernet_sizes(weights: int, compression: float | None = None) -> HypernetSettings:
    """A chunked hypernetwork for a target network of |W| weights; else raises `ConfigError`.

    It has at most compression·|W| learned values, the first task's embedding among them; by default
    as many as |W|, or 4,000 if that is more.
    """
    budget = max(weights, SMALLEST) if compression is None else int(compression * weights)
    for width in _WIDTHS:
        chunk = _chunk(weights, budget, width)
        if chunk and (_shared(width) <= _OVERHEAD * budget or width == _WIDTHS[-1]):
            return HypernetSettings(
                hidden=(width, width),
                task_embedding=width,
                chunk_embedding=width,
                activation="elu",
                init="hyperfan",
                plan="even",
                chunk=min(chunk, weights),
            )
    rule = "a hypernetwork must be large enough to make the model's weights"
    hint = "choose a larger compression, or leave it out"
    raise ConfigError(rule, got=f"compression={compression} of {weights} weights", hint=hint)


def _shared(width: int) -> int:
    """Values of the hidden layers and a task's embedding."""
    return (2 * width + 1) * width + (width + 1) * width + width


def _chunk(weights: int, budget: int, width: int) -> int:
    """The largest D with D (k + 1) + k ceil(N / D) within what the hidden layers leave; or 0."""
    left = budget - _shared(width) - width  # one chunk more than N / D
    root = left**2 - 4 * width * (width + 1) * weights
    return int((left + math.sqrt(root)) / (2 * (width + 1))) if left > 0 and root >= 0 else 0


@dataclass(frozen=True)
class AutoencoderDesign:
    """The autoencoders that tell tasks apart, and what they see of inputs.

    Attributes:
        sample_shape: of every input.
        vae: their sizes, and whether inputs are taken for intensities in [0, 1].
        hypernet: sizes of the hypernetwork that makes them.
        shift: (entries of a sample,) subtracted from a sample; empty for intensities.
        scale: (entries of a sample,) what a sample is divided by then, the same for all tasks: it
            is the unit of what need not be explained.
    """

    sample_shape: tuple[int, ...]
    vae: VaeSettings
    hypernet: HypernetSettings
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()

    @property
    def weights(self) -> int:
        """Number of an autoencoder's weights."""
        return count_weights(self.sample_shape, self.vae)

    @property
    def intensities(self) -> bool:
        """Whether inputs are in [0, 1]."""
        return self.vae.likelihood == "bernoulli"

    def view(self, x: Tensor) -> Tensor:
        """(batch, *sample) inputs as the autoencoders see them."""
        if self.intensities:
            return x.clamp(0, 1)
        shift, scale = (x.new_tensor(values) for values in (self.shift, self.scale))
        return ((x.flatten(1) - shift) / scale).view_as(x)

    def centre(self, batches: Iterable[Tensor]) -> dict[str, Tensor]:
        """Buffers of a new task's autoencoder, none for intensities, from (batch, *sample) inputs.

        Raises `DataError` for inputs of another kind than the first task's.
        """
        seen = Moments(batches)
        if seen.shape != self.sample_shape:
            raise DataError(
                "likelihoods compare inputs of one shape",
                got=f"{seen.shape}, where they had {self.sample_shape}",
                hint="bring them to one shape, or use infer_task='entropy'",
            )
        if not self.intensities:
            shift, scale = map(torch.tensor, (self.shift, self.scale))
            return {"shift": (seen.mean - shift) / scale, "scale": seen.deviation / scale}
        if not seen.intensities:
            rule = "inputs of the first task were in [0, 1], so all must be"
            hint = "scale every task's inputs alike"
            raise DataError(rule, got=f"from {seen.least:.3g} to {seen.most:.3g}", hint=hint)
        return {}


@dataclass(frozen=True)
class Design:
    """All that is settled by the first fit.

    Attributes:
        problem: what outputs stand for.
        hypernet: sizes of the hypernetwork that makes the model's weights; None without one.
        autoencoder: of methods that have one for each task.
    """

    problem: Problem
    hypernet: HypernetSettings | None
    autoencoder: AutoencoderDesign | None


def count_weights(sample_shape: tuple[int, ...], settings: VaeSettings) -> int:
    """Number of weights of an autoencoder, which is not made."""
    with torch.device("meta"):
        return sum(p.numel() for p in Vae(sample_shape, settings).parameters())


def autoencoder_design(batches: Iterable[Tensor], compression: float | None) -> AutoencoderDesign:
    """Autoencoders for (batch, *sample) inputs like the first task's; raises for too large ones."""
    seen = Moments(batches)
    entries = math.prod(seen.shape)
    if entries > _LARGEST:
        rule = f"likelihoods are for inputs of at most {_LARGEST} entries"
        raise DataError(rule, got=entries, hint="use infer_task='entropy'")
    width = min(max(entries, 32), 256)
    vae = VaeSettings(
        encoder=(width,),
        decoder=(width,),
        latent=min(max(entries // 4, 2), 16),
        likelihood="bernoulli" if seen.intensities else "gaussian",
    )
    hypernet = autoencoder_sizes(count_weights(seen.shape, vae), compression)
    if seen.intensities:
        return AutoencoderDesign(seen.shape, vae, hypernet)
    shift, scale = seen.mean.tolist(), (_NOISE * seen.deviation).tolist()
    return AutoencoderDesign(seen.shape, vae, hypernet, tuple(shift), tuple(scale))


def method_entry(settings: LearnerSettings) -> MethodEntry:
    """The registered method that the settings ask for; `hnet` with the evidence chosen."""
    return METHODS[
        _BY_EVIDENCE[settings.infer_task] if settings.method == "hnet" else settings.method
    ]


def scenario_of(settings: LearnerSettings, problem: Problem) -> ScenarioName:
    """The scenario to train for; raises `ConfigError` if the method does not answer in it."""
    entry = method_entry(settings)
    if entry.trained == "once":  # with heads for each task, whatever it answers in
        return "task"
    wanted: ScenarioName = "domain" if problem == "regression" else "class"
    if settings.infer_task is None:
        wanted = "task"
    if wanted not in entry.scenarios:
        rule = f"{entry.name} must be told the task of every sample"
        hint = "set infer_task=None, and name the task to predict"
        raise ConfigError(rule, got=f"infer_task={settings.infer_task!r}", hint=hint)
    return wanted


def generated_names(model: nn.Module, settings: LearnerSettings) -> list[str]:
    """Patterns of the generated parameters, by default all not frozen; raises if there are none."""
    if settings.generated is not None:
        return list(settings.generated)
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not names:
        rule = "a model must have parameters that are not frozen"
        hint = "name those that each task is to have for itself in generated"
        raise TargetError(rule, got=f"{type(model).__name__} with none", hint=hint)
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
    """A method that knows no task yet; raises `ConfigError` if it learns all tasks at once."""
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
    if (autoencoder := design.autoencoder) is not None:
        sample_shape = autoencoder.sample_shape
        sections["vae"] = _autoencoders(autoencoder, regularizer, optimizer)
        if "likelihood" in entry.sections:
            with generators.as_global("vae"):
                sections["template"] = CentredVae(sample_shape, autoencoder.vae)
            sections["view"] = autoencoder.view
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
