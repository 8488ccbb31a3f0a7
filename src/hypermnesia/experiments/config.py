"""The resolved configuration of a run: every field bounded, nothing implied, nothing extra.

A default that the library has too is the library's. A field added later must have a default under
which runs are as before: only fields that differ from their default enter a run's identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)

from hypermnesia.data.settings import BenchmarkSettings
from hypermnesia.distillation import DistillationSettings
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config_errors import as_config_error
from hypermnesia.hypernet.chunks import PlanName
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.inference import EntropySettings
from hypermnesia.methods.penalty import PenaltySettings
from hypermnesia.methods.replay import ReplaySettings
from hypermnesia.nets import NetSettings
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.precision import Precision
from hypermnesia.regularizers import RegularizerSettings
from hypermnesia.training.phases import TrainSettings
from hypermnesia.vae import BoundSettings, VaeSettings


def _number(value: object) -> object:
    """A text such as `1e-3`, which YAML 1.1 does not read as a number, as the number it is."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _integer(value: object) -> object:
    """`1e4`, a text or a float to YAML, as the whole number it is."""
    number = _number(value)
    return int(number) if isinstance(number, float) and number.is_integer() else value


Number = Annotated[float, Field(strict=True), BeforeValidator(_number)]
Integer = Annotated[int, Field(strict=True), BeforeValidator(_integer)]
Positive = Annotated[Number, Field(gt=0, le=1e9)]
NonNegative = Annotated[Number, Field(ge=0, le=1e9)]
Strength = Annotated[Number, Field(ge=0, le=1e18)]  # EWC is at its best at 1e10 and above
Fraction = Annotated[Number, Field(ge=0, lt=1)]
Width = Annotated[Integer, Field(ge=1, le=10_000_000)]
Seed = Annotated[Integer, Field(ge=0, le=2**63 - 1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RecipeRef(_Section):
    """Where the defaults came from; for the reader, no part of the identity.

    Attributes:
        name: name of the recipe.
        source: where its values come from.
        changed: whether a setting that can change numbers is not the recipe's.
    """

    name: Name
    source: str = Field(max_length=10_000)
    changed: StrictBool = False


class DataConfig(_Section):
    """The sequence of tasks.

    Attributes:
        tasks: number of tasks.
        padding: pixels of zeros around each image.
        class_order: seed of a random order of the classes; None for the natural order.
        validation: training samples of each task that are held out.
        evaluate_on: the part that the accuracy matrix is about.
    """

    tasks: Annotated[Integer, Field(ge=1, le=100_000)]
    padding: Annotated[Integer, Field(ge=0, le=64)] = BenchmarkSettings.padding
    class_order: Seed | None = BenchmarkSettings.class_order
    validation: Annotated[Integer, Field(ge=0, le=10**9)] = BenchmarkSettings.validation
    evaluate_on: Literal["test", "validation"] = TrainSettings.evaluate_on

    @model_validator(mode="after")
    def _has_validation(self) -> DataConfig:
        if self.evaluate_on == "validation" and self.validation == 0:
            raise ConfigError(
                "data.evaluate_on=validation needs held-out data",
                got="data.validation=0",
                cure="set data.validation to a number of samples",
            )
        return self


class TargetConfig(_Section):
    """The target network, and how it is used.

    Attributes:
        net: name of the network.
        hidden: widths of its hidden layers.
        dropout: share of the units of these layers that training leaves out at random.
        generated: name patterns of the parameters that a hypernetwork makes.
        head: name of the output layer; None for the last linear layer.
        train_shared: go on training parameters that are not generated after the first task.
    """

    net: Name
    hidden: tuple[Width, ...] = NetSettings.hidden
    dropout: Fraction = NetSettings.dropout
    generated: Annotated[tuple[Name, ...], Field(min_length=1)] = ("*",)
    head: Name | None = None
    train_shared: StrictBool = False


class HypernetConfig(_Section):
    """Sizes of the hypernetwork, and how the weight vector is cut into chunks."""

    hidden: tuple[Width, ...] = HypernetSettings.hidden
    plan: PlanName = HypernetSettings.plan
    chunk: Width | None = HypernetSettings.chunk
    task_embedding: Width
    chunk_embedding: Annotated[Integer, Field(ge=0, le=10_000_000)] = (
        HypernetSettings.chunk_embedding
    )
    activation: Name = HypernetSettings.activation
    init: Literal["xavier", "hyperfan"] = HypernetSettings.init
    embedding_start: Literal["normal", "mean"] = HypernetSettings.embedding_start

    @model_validator(mode="after")
    def _chunk_fits_plan(self) -> HypernetConfig:
        if self.plan == "even" and self.chunk is None:
            raise ConfigError(
                "hypernet.plan=even needs the size of a chunk",
                got="hypernet.chunk=null",
                cure="set hypernet.chunk, or hypernet.plan=full",
            )
        if self.plan != "even" and self.chunk is not None:
            raise ConfigError(
                f"hypernet.plan={self.plan} has no use for the size of a chunk",
                got=f"hypernet.chunk={self.chunk}",
                cure="set hypernet.chunk=null",
            )
        if self.plan != "full" and self.chunk_embedding == 0:
            raise ConfigError(
                f"hypernet.plan={self.plan} tells its chunks apart by their embeddings",
                got="hypernet.chunk_embedding=0",
                cure="set it to 1 or more, or hypernet.plan=full",
            )
        return self


class RegularizerConfig(_Section):
    """Strength and form of the output regulariser.

    Attributes:
        beta: its weight against the task's loss.
        kind: name of the way to compute it.
        lookahead: where it is evaluated.
        subset: earlier tasks that the kind `sampled` draws at an iteration.
    """

    beta: NonNegative
    kind: Name = RegularizerSettings.kind
    lookahead: Name = RegularizerSettings.lookahead
    subset: Width | None = RegularizerSettings.subset

    @model_validator(mode="after")
    def _only_sampled_draws(self) -> RegularizerConfig:
        if self.subset is not None and self.kind != "sampled":
            raise ConfigError(
                "regularizer.subset goes with regularizer.kind=sampled",
                got=f"kind={self.kind}, subset={self.subset}",
                cure="set regularizer.kind=sampled, or regularizer.subset=null",
            )
        if self.subset is None and self.kind == "sampled":
            raise ConfigError(
                "regularizer.kind=sampled needs the number of earlier tasks that it draws",
                got="regularizer.subset=null",
                cure="set regularizer.subset, or regularizer.kind=closed",
            )
        return self


class PenaltyConfig(_Section):
    """How strongly the parameters of a plain network are held.

    Attributes:
        strength: λ of EWC, c of SI.
        decay: γ of online EWC.
        xi: ξ of SI.
        samples: training samples of a task for its Fisher information; None for all.
    """

    strength: Strength = PenaltySettings.strength
    decay: Annotated[Number, Field(ge=0, le=1)] = PenaltySettings.decay
    xi: Positive = PenaltySettings.xi
    samples: Annotated[Integer, Field(ge=1, le=10**9)] | None = PenaltySettings.samples


class DistillationConfig(_Section):
    """How softly, and how strongly, a former network's answers are taught."""

    temperature: Positive = DistillationSettings.temperature
    strength: NonNegative = DistillationSettings.strength


class ReplayConfig(_Section):
    """How generated samples of earlier tasks enter a loss."""

    share: Literal["half", "tasks"] = ReplaySettings.share


class VaeConfig(_Section):
    """Sizes of a variational autoencoder: a generative memory, or one a task."""

    encoder: tuple[Width, ...] = VaeSettings.encoder
    decoder: tuple[Width, ...] = VaeSettings.decoder
    latent: Width = VaeSettings.latent
    activation: Name = VaeSettings.activation
    likelihood: Literal["bernoulli", "gaussian"] = VaeSettings.likelihood


class InferenceConfig(_Section):
    """How `hnet-ent` infers the task: which network counts as the surest.

    Attributes:
        criterion: its entropy, or the gradient of a mixture's entropy.
        temperature: what scores are divided by before.
        calibrated: measure scores in terms of their spread on the training samples of a class.
    """

    criterion: Literal["entropy", "entropy-gradient"] = EntropySettings.criterion
    temperature: Positive = EntropySettings.temperature
    calibrated: StrictBool = EntropySettings.calibrated

    @model_validator(mode="after")
    def _calibrates_what_is_not_mixed(self) -> InferenceConfig:
        EntropySettings(**dict(self))
        return self


class BoundConfig(_Section):
    """Which bound on the likelihood of a sample `hnet-lik` compares.

    Attributes:
        kind: the evidence lower bound, or the importance-weighted one.
        samples: draws of the latents for each sample.
        divergence: weight of the divergence in the first.
    """

    kind: Literal["elbo", "importance"] = BoundSettings.kind
    samples: Annotated[Integer, Field(ge=1, le=10**6)] = BoundSettings.samples
    divergence: Annotated[Number, Field(ge=1, le=1e9)] = BoundSettings.divergence

    @model_validator(mode="after")
    def _weighs_what_it_has(self) -> BoundConfig:
        BoundSettings(**dict(self))
        return self


class OptimizerConfig(_Section):
    """One optimiser; None leaves a setting to torch.

    Attributes:
        schedule: share of a task done -> factor of `lr` from there on.
    """

    name: Name = OptimizerSettings.name
    lr: Positive
    betas: tuple[Fraction, Fraction] | None = None
    eps: Positive | None = None
    momentum: Fraction | None = None
    weight_decay: NonNegative | None = None
    schedule: dict[Fraction, NonNegative] = Field(default_factory=dict)


class TrainConfig(_Section):
    """How long and on which batches each task is trained: `iterations` or `epochs`."""

    iterations: Annotated[Integer, Field(ge=1, le=10**9)] | None = TrainSettings.iterations
    epochs: Annotated[Integer, Field(ge=1, le=10**6)] | None = TrainSettings.epochs
    batch_size: Annotated[Integer, Field(ge=1, le=10**6)]
    augment: Name | None = TrainSettings.augment
    checkpoint_seconds: Positive = TrainSettings.checkpoint_seconds

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        if (self.iterations is None) == (self.epochs is None):
            raise ConfigError(
                "exactly one of train.iterations and train.epochs must be set",
                got=f"iterations={self.iterations}, epochs={self.epochs}",
                cure="set the other one to null",
            )
        return self


class ComputeConfig(_Section):
    """How training computes; it changes the last digits of the numbers.

    Attributes:
        precision: number format of the target network's products.
        compile: train the target network through `torch.compile`.
    """

    precision: Precision = "float32"
    compile: StrictBool = False


class MachineConfig(_Section):
    """Where a run happens; no part of its identity."""

    device: Literal["cpu", "cuda", "auto"] = "cpu"
    threads: Annotated[Integer, Field(ge=1, le=1024)] | None = None
    data_dir: str | None = None


LIKE = {
    "embedding_optimizer": "optimizer",
    "vae_hypernet": "hypernet",
    "vae_regularizer": "regularizer",
    "vae_optimizer": "optimizer",
    "vae_embedding_optimizer": "vae_optimizer",
}
"""Sections that start from another one."""


class ExperimentConfig(_Section):
    """One benchmark, one method, one scenario and all their settings.

    The scenario `all` is that of the methods that are trained once and evaluated in every one.
    """

    format: Literal[1] = 1
    benchmark: Name
    method: Name
    scenario: Literal["task", "domain", "class", "all"]
    recipe: RecipeRef
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=100_000)]
    data: DataConfig
    target: TargetConfig
    hypernet: HypernetConfig
    regularizer: RegularizerConfig
    optimizer: OptimizerConfig
    embedding_optimizer: OptimizerConfig
    inference: InferenceConfig = InferenceConfig()
    train: TrainConfig
    compute: ComputeConfig = ComputeConfig()
    penalty: PenaltyConfig = PenaltyConfig()
    distillation: DistillationConfig = DistillationConfig()
    replay: ReplayConfig = ReplayConfig()
    vae: VaeConfig = VaeConfig()
    bound: BoundConfig = BoundConfig()
    vae_hypernet: HypernetConfig
    vae_regularizer: RegularizerConfig
    vae_optimizer: OptimizerConfig
    vae_embedding_optimizer: OptimizerConfig
    machine: MachineConfig = MachineConfig()

    @model_validator(mode="before")
    @classmethod
    def _like_others(cls, raw: dict[str, Any]) -> dict[str, Any]:
        """Fields that a section leaves out are those of the section that it is like."""
        filled = dict(raw)
        for name, like in LIKE.items():
            own, other = filled.get(name, {}), filled.get(like)
            if isinstance(own, Mapping) and isinstance(other, Mapping):
                filled[name] = {**other, **own}
        return filled


def validated(raw: dict[str, Any]) -> ExperimentConfig:
    """The configuration in `raw`; the first thing wrong with it becomes a `ConfigError`."""
    try:
        return ExperimentConfig.model_validate(raw)
    except ValidationError as error:
        raise as_config_error(error, ExperimentConfig) from None
