"""The resolved configuration of a run: every field bounded, nothing implied, nothing extra.

A default that the library has too is the library's. A field added later must have a default under
which runs are as before: only fields that differ from their default enter a run's identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, ValidationError, model_validator

from hypermnesia.compute import Precision
from hypermnesia.data.benchmarks import BenchmarkSettings
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config_errors import as_config_error
from hypermnesia.experiments.config_sections import (
    BoundConfig,
    DistillationConfig,
    HypernetConfig,
    InferenceConfig,
    LikelihoodConfig,
    OptimizerConfig,
    PenaltyConfig,
    RegularizerConfig,
    ReplayConfig,
    VaeConfig,
)
from hypermnesia.nets import NetSettings
from hypermnesia.settings import (
    Fraction,
    Integer,
    Name,
    Positive,
    Section,
    Seed,
    Width,
)
from hypermnesia.training.phases import TrainSettings


class RecipeRef(Section):
    """Where the defaults came from; for the reader, no part of the identity.

    Attributes:
        name: name of the recipe.
        source: where its values come from.
        changed: whether a setting that can change numbers is not the recipe's.
    """

    name: Name
    source: str = Field(max_length=10_000)
    changed: StrictBool = False


class DataConfig(Section):
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


class TargetConfig(Section):
    """The target network, and how it is used.

    Attributes:
        net: name of the network.
        hidden: widths of its hidden layers.
        dropout: share of the units of these layers that training leaves out at random.
        activation: between these layers.
        generated: name patterns of the parameters that a hypernetwork makes.
        head: name of the output layer; None for the last linear layer.
        train_shared: go on training parameters that are not generated after the first task.
    """

    net: Name
    hidden: tuple[Width, ...] = NetSettings.hidden
    dropout: Fraction = NetSettings.dropout
    activation: Literal["relu", "sigmoid", "tanh"] = "relu"
    generated: Annotated[tuple[Name, ...], Field(min_length=1)] = ("*",)
    head: Name | None = None
    train_shared: StrictBool = False


class TrainConfig(Section):
    """How long and on which batches each task is trained: `iterations` or `epochs`."""

    iterations: Annotated[Integer, Field(ge=1, le=10**9)] | None = TrainSettings.iterations
    epochs: Annotated[Integer, Field(ge=1, le=10**6)] | None = TrainSettings.epochs
    batch_size: Annotated[Integer, Field(ge=1, le=10**6)]
    augment: Name | None = TrainSettings.augment
    checkpoint_seconds: Positive = TrainSettings.checkpoint_seconds

    @model_validator(mode="after")
    def _one_length(self) -> TrainConfig:
        TrainSettings(**dict(self))
        return self


class ComputeConfig(Section):
    """How training computes; it changes the last digits of the numbers.

    Attributes:
        precision: number format of the target network's products.
        compile: train the target network through `torch.compile`.
        deterministic: use kernels that give the same bits every time, also on a GPU.
    """

    precision: Precision = "float32"
    compile: StrictBool = False
    deterministic: StrictBool = False


class MachineConfig(Section):
    """Where a run happens, and who watches; no part of its identity.

    Attributes:
        device: what computes; `auto` takes a GPU where there is one.
        threads: of the processor; None for torch's own number.
        data_dir: folder of data files; None for HYPERMNESIA_DATA, else the cache.
        tensorboard: write event files for TensorBoard.
    """

    device: Literal["cpu", "cuda", "auto"] = "cpu"
    threads: Annotated[Integer, Field(ge=1, le=1024)] | None = None
    data_dir: str | None = None
    tensorboard: StrictBool = False


LIKE = {
    "embedding_optimizer": "optimizer",
    "vae_hypernet": "hypernet",
    "vae_regularizer": "regularizer",
    "vae_optimizer": "optimizer",
    "vae_embedding_optimizer": "vae_optimizer",
}
"""Sections that start from another one."""


class ExperimentConfig(Section):
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
    likelihood: LikelihoodConfig = LikelihoodConfig()
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
    """The configuration in `raw`; the first thing wrong with it becomes a `ConfigError`.

    Raises:
        ConfigError: a name that does not exist, or a value out of range.
    """
    try:
        return ExperimentConfig.model_validate(raw)
    except ValidationError as error:
        raise as_config_error(error, ExperimentConfig) from None
