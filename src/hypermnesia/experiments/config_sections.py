"""The sections of a configuration that methods read; each stands for the library's settings."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, model_validator

from hypermnesia.compute import Screen
from hypermnesia.errors import ConfigError
from hypermnesia.evidence.autoencoders import ReplaySettings
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.evidence.likelihood import LikelihoodSettings
from hypermnesia.hypernet.network import HypernetSettings, PlanName
from hypermnesia.methods.lwf import DistillationSettings
from hypermnesia.methods.penalties import PenaltySettings
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.settings import (
    Fraction,
    Integer,
    Name,
    NonNegative,
    Number,
    Positive,
    Section,
    Strength,
    Width,
)
from hypermnesia.vae import BoundSettings, VaeSettings


class HypernetConfig(Section):
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


class RegularizerConfig(Section):
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


class PenaltyConfig(Section):
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


class DistillationConfig(Section):
    """How softly, and how strongly, a former network's answers are taught."""

    temperature: Positive = DistillationSettings.temperature
    strength: NonNegative = DistillationSettings.strength


class ReplayConfig(Section):
    """How generated samples of earlier tasks enter a loss."""

    share: Literal["half", "tasks"] = ReplaySettings.share


class VaeConfig(Section):
    """Sizes of a variational autoencoder: a generative memory, or one a task."""

    encoder: tuple[Width, ...] = VaeSettings.encoder
    decoder: tuple[Width, ...] = VaeSettings.decoder
    latent: Width = VaeSettings.latent
    activation: Name = VaeSettings.activation
    likelihood: Literal["bernoulli", "gaussian"] = VaeSettings.likelihood


class InferenceConfig(Section):
    """How `hnet-ent` infers the task: which network counts as the surest.

    Attributes:
        criterion: its entropy, or the gradient of a mixture's entropy.
        temperature: what scores are divided by before.
        calibrated: measure scores in terms of their spread on the training samples of a class.
        screen: ask all networks in this number format first; null asks in float32 once.
    """

    criterion: Literal["entropy", "entropy-gradient"] = EntropySettings.criterion
    temperature: Positive = EntropySettings.temperature
    calibrated: StrictBool = EntropySettings.calibrated
    screen: Screen | None = EntropySettings.screen

    @model_validator(mode="after")
    def _calibrates_what_is_not_mixed(self) -> InferenceConfig:
        EntropySettings(**dict(self))
        return self


class BoundConfig(Section):
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


class LikelihoodConfig(Section):
    """Whose autoencoders `hnet-lik` has, and who answers where the task is not given.

    Attributes:
        of: what has an autoencoder of its own.
        answer: the classifier of the inferred task, or the likeliest of its classes.
    """

    of: Literal["task", "class"] = LikelihoodSettings.of
    answer: Literal["classifier", "likelihood"] = LikelihoodSettings.answer

    @model_validator(mode="after")
    def _classes_have_their_own(self) -> LikelihoodConfig:
        LikelihoodSettings(**dict(self))
        return self


class OptimizerConfig(Section):
    """One optimiser; None leaves a setting to torch.

    Attributes:
        schedule: share of a task done -> factor of `lr` from there on.
        clip: largest norm of the task's own gradient; None for no bound.
    """

    name: Name = OptimizerSettings.name
    lr: Positive
    betas: tuple[Fraction, Fraction] | None = None
    eps: Positive | None = None
    momentum: Fraction | None = None
    weight_decay: NonNegative | None = None
    schedule: dict[Fraction, NonNegative] = Field(default_factory=dict)
    clip: Positive | None = OptimizerSettings.clip
