"""From a model and a first task to the sizes of all that is learned, and a method of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import ConfigError, DataError, TargetError
from hypermnesia.evidence import is_density
from hypermnesia.hypernet.memory import StartName
from hypermnesia.hypernet.network import HypernetSettings, aligned
from hypermnesia.hypernet.target import Target
from hypermnesia.learner.arrays import Form
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.targets import LOSSES, Own, Problem
from hypermnesia.methods import METHODS, HypernetWith, Method, MethodEntry, build_method
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.tree import one_tensor
from hypermnesia.vae import BoundSettings, CentredVae, Likelihood, Vae, VaeSettings

if TYPE_CHECKING:
    from hypermnesia.evidence.autoencoders import AutoencoderSettings


SMALLEST = 50_000
"""Learned values of a hypernetwork for small models: 200 kB, for which fewer hold too few tasks."""

_WIDTHS = (32, 24, 16, 12, 8)
_OVERHEAD = 1 / 8  # of all values, in what all chunks share
_LARGEST = 20_000  # entries of a sample that fully connected layers can do with
_NOISE = 0.3  # of an entry's deviation is what an autoencoder need not explain
_BY_EVIDENCE = {
    "entropy": "hnet-ent",
    "likelihood": "hnet-lik",
    "classifier": "hnet-tir",
    "gaussian": "hypermnesia.evidence.gaussian:TaskGaussians",
    "filters": "hypermnesia.evidence.filters:FilterGaussians",
    "ridge": "hypermnesia.evidence.ridge:TaskRidge",
    "best": "hypermnesia.evidence.best:BestEvidence",
    "sum": "hypermnesia.evidence.best:SumEvidence",
    "agreement": "hypermnesia.evidence.disagreement:Agreement",
    "mutual-information": "hypermnesia.evidence.disagreement:MutualInformation",
}
_SCHEDULE = {0.5: 0.3, 0.75: 0.1, 0.9: 0.03}
_NARROW, _FARTHEST = 12, 0.12  # features whose step is not bounded; a weight's longest step
_FASTER = 300.0  # steps of an embedding that starts at 0, on which all changes of weights wait
_WIDER = 10.0  # drift of such changes: a tenth of their size moved no answer on digits
_BOUND = BoundSettings(divergence=2)  # as on Split MNIST
# β of the autoencoders over that of the networks: their losses are of other sizes. Powers of ten
# tried on scikit-learn's digits and wine.
_VAE_BETA = {"bernoulli": 0.1, "gaussian": 10.0}


SLACK = 0.1
"""How far beyond their range intensities are still taken to be in it, as a share of it."""


class Moments:
    """Shape of a sample; (entries,) least and most of inputs, their means and deviations.

    Where there is no deviation it is the mean of the others, or 1. Raises `DataError` for
    (batch, *sample) inputs that are no floats, or not all of one shape.
    """

    def __init__(self, batches: Iterable[Tensor]) -> None:
        count, extremes = 0, []
        for x in batches:
            one_tensor(x, "a likelihood")
            if not x.is_floating_point():
                rule = "likelihoods are of inputs that are real numbers"
                hint = "use infer_task='entropy', or convert measurements to floats"
                raise DataError(rule, got=f"ids ({str(x.dtype).removeprefix('torch.')})", hint=hint)
            if not count:
                self.shape = tuple(x.shape[1:])
                total = squares = torch.zeros(x[0].numel(), dtype=torch.float64)
            check_shape(tuple(x.shape[1:]), self.shape)
            flat = x.flatten(1).double()
            total, squares = total + flat.sum(dim=0), squares + flat.square().sum(dim=0)
            extremes.append(torch.stack([flat.amin(dim=0), flat.amax(dim=0)]))
            count += len(x)
        every = torch.stack(extremes).float()
        self.least, self.most = every[:, 0].amin(dim=0), every[:, 1].amax(dim=0)
        self.mean = (total / count).float()
        deviation = (squares / count - (total / count).square()).clamp(min=0).sqrt().float()
        usual = deviation[deviation > 0].mean() if bool(deviation.any()) else torch.tensor(1.0)
        self.deviation = deviation.where(deviation > 0, usual)

    @property
    def intensities(self) -> bool:
        """Whether all are in [0, 1]."""
        return bool((self.least >= 0).all() and (self.most <= 1).all())

    def box(self) -> dict[str, Tensor]:
        """Where a later task's intensities lie, entry by entry: [0, 1] if they nearly fit.

        What does not is widened or, where this would more than double it, moved to the entry's own
        range; it is no narrower than 1, however little the entry varies. So the unit of what need
        not be explained, and what an edge means, change no more than they must. None for [0, 1].
        """
        low, high = self.least.clamp(max=0), self.most.clamp(min=1)
        outside = (low < -SLACK) | (high > 1 + SLACK)
        if not outside.any():
            return {}
        width, far = (self.most - self.least).clamp(min=1), high - low > 2
        own = self.least.where(self.least < 0, self.most - width)
        shift, scale = own.where(far, low), width.where(far, high - low)
        return {"shift": shift * outside, "scale": scale.where(outside, torch.ones_like(scale))}


def check_shape(shape: tuple[int, ...], known: tuple[int, ...]) -> None:
    """Raise `DataError` unless a sample's shape is that of the others."""
    if shape != known:
        rule, got = "likelihoods compare inputs of one shape", f"{shape}, where they had {known}"
        hint = "bring them to one shape (pad), or use infer_task='entropy'"
        raise DataError(rule, got=got, hint=hint)


def autoencoder_sizes(weights: int, compression: float | None = None) -> HypernetSettings:
    """`hypernet_sizes` with one hidden layer, chosen on Split MNIST (docs/results.md)."""
    sizes = hypernet_sizes(weights, compression)
    return replace(sizes, hidden=sizes.hidden[:1], activation="relu", embedding_start="mean")


def hypernet_sizes(weights: int, compression: float | None = None) -> HypernetSettings:
    """A chunked hypernetwork for a target network of |W| weights; else raises `ConfigError`.

    It has at most compression·|W| learned values, the first task's embedding among them; by default
    as many as |W|, or 50,000 if that is more.
    """
    budget = max(weights, SMALLEST) if compression is None else int(compression * weights)
    for width in _WIDTHS:
        shared = (2 * width + 1) * width + (width + 1) * width + width
        left = budget - shared - width  # one chunk more than N / D
        root = left**2 - 4 * width * (width + 1) * weights
        # The largest D with D (k + 1) + k ceil(N / D) within what the hidden layers leave.
        fits = left > 0 and root >= 0
        chunk = int((left + math.sqrt(root)) / (2 * (width + 1))) if fits else 0
        if chunk and (shared <= _OVERHEAD * budget or width == _WIDTHS[-1]):
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


@dataclass(frozen=True)
class AutoencoderDesign:
    """The autoencoders that tell tasks apart, and what they see of inputs.

    If the first task's inputs are in [0, 1], all tasks are seen as they are, each by an autoencoder
    of intensities in a box of its own; else `shift` and `scale`, (entries of a sample,), are
    subtracted and divided by for all tasks alike: the scale is the unit of what need not be
    explained.
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
        check_shape(tuple(x.shape[1:]), self.sample_shape)
        if self.intensities:
            return x
        shift, scale = (x.new_tensor(values) for values in (self.shift, self.scale))
        return ((x.flatten(1) - shift) / scale).view_as(x)

    def centre(
        self, batches: Iterable[Tensor], box: Mapping[str, Tensor] | None = None, slack: float = 0.0
    ) -> dict[str, Tensor]:
        """Buffers of a new task's autoencoder, none for intensities, from (batch, *sample) inputs.

        Raises `DataError` for another shape than the first task's and, where autoencoders have a
        `box` already, for intensities outside by more than the `slack`, a share of it.
        """
        seen = Moments(batches)
        check_shape(seen.shape, self.sample_shape)
        if not self.intensities:
            shift, scale = map(torch.tensor, (self.shift, self.scale))
            return {"shift": (seen.mean - shift) / scale, "scale": seen.deviation / scale}
        if box is not None:
            _check_inside(seen, box, slack)
        return seen.box()


UNIT = {"shift": torch.tensor(0.0), "scale": torch.tensor(1.0)}
"""The box of intensities that are seen as they are."""


def boxes_of(method: Method) -> Sequence[Mapping[str, Tensor]] | None:
    """Buffers of each task's autoencoder; None for a method whose autoencoders have none."""
    from hypermnesia.evidence.likelihood import TaskLikelihoods

    likelihoods = getattr(method, "evidence", None)
    return likelihoods.memory.buffers if isinstance(likelihoods, TaskLikelihoods) else None


def _check_inside(seen: Moments, box: Mapping[str, Tensor], slack: float) -> None:
    low, scale = box["shift"].cpu(), box["scale"].cpu()
    high, least, most = low + scale, seen.least, seen.most
    if bool((least < low - slack * scale).any() or (most > high + slack * scale).any()):
        known = f"where they had from {float(low.min()):.3g} to {float(high.max()):.3g}"
        got = f"from {float(least.min()):.3g} to {float(most.max()):.3g}, {known}"
        hint = "scale them alike, or, with infer_task='likelihood', fit them as a task of their own"
        raise DataError("inputs must stay in the range of the first ones", got=got, hint=hint)


@dataclass(frozen=True)
class Design:
    """All that is settled by the first fit; sizes are None where the method has no such part."""

    problem: Problem
    hypernet: HypernetSettings | None
    autoencoder: AutoencoderDesign | None
    outputs: int | None = None  # of the model as it is
    form: Form = field(default_factory=Form)
    why: str = ""  # tasks are inferred as they are
    candidates: tuple[str, ...] = ()  # kinds of evidence of which held-out samples choose
    start: StartName = "scratch"
    why_start: str = ""


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
    likelihood: Likelihood = "bernoulli" if seen.intensities else "gaussian"
    latent = min(max(entries // 4, 2), 16)
    vae = VaeSettings((width,), (width,), latent, likelihood=likelihood)
    hypernet = autoencoder_sizes(count_weights(seen.shape, vae), compression)
    if seen.intensities:
        return AutoencoderDesign(seen.shape, vae, hypernet)
    shift, scale = seen.mean.tolist(), (_NOISE * seen.deviation).tolist()
    return AutoencoderDesign(seen.shape, vae, hypernet, tuple(shift), tuple(scale))


def method_entry(settings: LearnerSettings) -> MethodEntry:
    """The registered method that the settings ask for; `hnet` with the evidence chosen."""
    evidence = settings.infer_task
    if settings.method != "hnet":
        return METHODS[settings.method]
    if is_density(evidence):
        entry = METHODS["hypermnesia.evidence.densities:TaskDensities"]
    elif evidence is None or evidence == "auto":
        entry = METHODS["hnet"]
    else:
        entry = METHODS[_BY_EVIDENCE.get(evidence, evidence)]
    if settings.ensemble == 1:
        return entry
    own = getattr(entry.build, "evidence", None)
    return replace(entry, builder=HypernetWith(own, "bayes:RandomHypernet"))


def scenario_of(settings: LearnerSettings, problem: Problem) -> ScenarioName:
    """The scenario to train for; raises `ConfigError` if the method does not answer in it."""
    entry = method_entry(settings)
    if entry.trained == "once":  # with heads for each task, whatever it answers in
        return "task"
    inferred: ScenarioName = "domain" if problem == "regression" else "class"
    wanted: ScenarioName = "task" if settings.infer_task is None else inferred
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


def model_sizes(
    model: nn.Module, settings: LearnerSettings, outputs: int, own: int, start: StartName
) -> HypernetSettings:
    """Sizes of the hypernetwork for a model with so many outputs, where it has its `own` number."""
    target = Target(model, generated_names(model, settings), settings.head, outputs=own)
    layout = target.layout(outputs)
    weights = layout.total
    if settings.ensemble > 1:  # a mean and a variance of each weight, in as much room
        usual = max(1.0, SMALLEST / weights)
        share = usual if settings.compression is None else settings.compression
        return hypernet_sizes(2 * weights, share / 2)
    sizes = hypernet_sizes(weights, settings.compression)
    if start == "scratch":
        return sizes
    return replace(sizes, chunk=aligned(sizes.chunk or 1, layout.layers))


def basis_sizes(
    model: nn.Module, settings: LearnerSettings, outputs: int, tasks: int
) -> HypernetSettings:
    """Sizes of a linear hypernetwork for so many known networks: of a fifth of their numbers.

    Or, with a compression, as many entries of an embedding as it allows.
    """
    target = Target(model, generated_names(model, settings), settings.head, outputs=outputs)
    weights, share = target.layout(outputs).total, settings.compression
    most = tasks * weights / 5 if share is None else share * weights
    entries = max(1, min(tasks, int(most / (weights + tasks))))
    return HypernetSettings(hidden=(), task_embedding=entries, plan="full")


def bound_of(settings: LearnerSettings, start: StartName) -> float:
    """The bound on drift: wider for changes of a pretrained model's weights, which are small."""
    return settings.drift if start == "scratch" else min(1.0, _WIDER * settings.drift)


def _step_of_theta(settings: LearnerSettings, design: Design) -> float:
    """θ's step size, bounded where features are wide: all of them add to what a weight moves."""
    if design.hypernet is None or not design.hypernet.hidden or design.start == "pretrained":
        return settings.lr
    width = design.hypernet.hidden[-1]
    return settings.lr if width <= _NARROW else min(settings.lr, _FARTHEST / width)


def method_of(
    model: nn.Module,
    settings: LearnerSettings,
    design: Design,
    generators: Generators,
    device: torch.device,
    own: Own | None = None,
) -> Method:
    """A method that knows no task yet; raises `ConfigError` if it learns all tasks at once."""
    entry, scenario = method_entry(settings), scenario_of(settings, design.problem)
    optimizer = OptimizerSettings(lr=settings.lr, schedule=_SCHEDULE)
    drift = settings.drift if settings.beta != "auto" else bound_of(settings, design.start)
    regularizer = RegularizerSettings(beta=settings.beta, drift=drift, rows="auto")
    own = own or Own()
    faster = _FASTER if design.start == "pretrained" else 1.0
    sections: dict[str, Any] = {
        "hypernet": design.hypernet,
        "regularizer": regularizer,
        "optimizer": own.settings(replace(optimizer, lr=_step_of_theta(settings, design))),
        "embedding_optimizer": own.settings(replace(optimizer, lr=faster * optimizer.lr)),
        "start": design.start,
        "generated": generated_names(model, settings),
        "head": settings.head,
        "outputs": design.outputs,
        "bound": _BOUND,
    }
    if settings.ensemble > 1:
        from hypermnesia.hypernet.noise import NoiseSettings

        sections["noise"] = NoiseSettings(draws=settings.ensemble, log_variance=-7.0)
    sample_shape: tuple[int, ...] = ()
    if (autoencoder := design.autoencoder) is not None:
        sample_shape = autoencoder.sample_shape
        sections["vae"] = _autoencoders(autoencoder, regularizer, optimizer)
        if "likelihood" in entry.sections:
            with generators.as_global("vae"):
                sections["template"] = CentredVae(sample_shape, autoencoder.vae)
            sections["view"] = autoencoder.view
    made_with: dict[str, Any] = {"generators": generators, "device": device}
    criterion = own.criterion or LOSSES[design.problem]
    made_with |= {"sample_shape": sample_shape, "criterion": criterion}
    made_with |= {"density": settings.infer_task, "features": settings.features}
    if design.candidates:
        made_with["candidates"] = design.candidates
    method = build_method(entry, model, scenario, sections, **made_with)
    if method.trains_on == "all":
        rule, hint = "a learner learns one task after another", "choose another method"
        got = f"method={entry.name!r}, which needs the data of all tasks at once"
        raise ConfigError(rule, got=got, hint=hint)
    return method


def _autoencoders(
    design: AutoencoderDesign, regularizer: RegularizerSettings, optimizer: OptimizerSettings
) -> AutoencoderSettings:
    from hypermnesia.evidence.autoencoders import AutoencoderSettings

    beta = 0.1 if regularizer.beta == "auto" else regularizer.beta
    beta *= _VAE_BETA[design.vae.likelihood]
    return AutoencoderSettings(
        **asdict(design.vae),
        hypernet=design.hypernet,
        regularizer=replace(regularizer, beta=beta),
        optimizer=optimizer,
        embedding_optimizer=replace(optimizer, lr=10 * optimizer.lr),
    )
