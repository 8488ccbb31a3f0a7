"""Tiny tasks that every method can learn in a second."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.stream import BatchStream, each_once
from hypermnesia.data.types import Batch, Part
from hypermnesia.evidence.autoencoders import AutoencoderSettings, ReplaySettings
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.evidence.likelihood import LikelihoodSettings
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.noise import NoiseSettings
from hypermnesia.methods import Method, Prediction, TaskSpec, build_method
from hypermnesia.methods.analytic import CovarianceSettings, ProjectionSettings
from hypermnesia.methods.base import answered
from hypermnesia.methods.lwf import DistillationSettings
from hypermnesia.methods.patches import PatchSettings
from hypermnesia.methods.penalties import PenaltySettings
from hypermnesia.methods.plain import Separate
from hypermnesia.methods.posterior import PosteriorSettings
from hypermnesia.methods.sums import SumSettings
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.vae import BoundSettings

SMALL_VAE = AutoencoderSettings(
    (16,),
    (16,),
    latent=3,
    likelihood="gaussian",
    hypernet=HypernetSettings((16,), 8, 8, chunk=60),
    regularizer=RegularizerSettings(beta=1.0),
    optimizer=OptimizerSettings(lr=0.01),
    embedding_optimizer=OptimizerSettings(lr=0.01),
)
CPU = torch.device("cpu")


def blobs(task: int, classes: int = 2, n: int = 64, inputs: int = 6) -> Part:
    """Gaussian clouds, one a class, at places of the task's own; labels count from 0."""
    generator = torch.Generator().manual_seed(1000 + task)
    centres = 3 * torch.randn(classes, inputs, generator=generator)
    y = torch.arange(n) % classes
    x = centres[y] + 0.3 * torch.randn(n, inputs, generator=generator)
    return Part(x, y, task)


def small_net(inputs: int = 6, outputs: int = 2, width: int = 8) -> nn.Sequential:
    """A network with dropout and batch-norm, so that randomness and buffers matter."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(inputs, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(width, outputs),
        )


def build(name: str, scenario: str = "task", **changes: object) -> Method:
    """A small method of any kind."""
    settings: dict[str, object] = {
        "network": small_net(),
        "hypernet": HypernetSettings((8,), 4, 4, chunk=40),
        "regularizer": RegularizerSettings(beta=0.1),
        "penalty": PenaltySettings(),
        "distillation": DistillationSettings(),
        "optimizer": OptimizerSettings(lr=0.01),
        "embedding_optimizer": OptimizerSettings(lr=0.01),
        "replay": ReplaySettings(),
        "bound": BoundSettings(samples=2),
        "likelihood": LikelihoodSettings(),
        "vae": SMALL_VAE,
        "sample_shape": (6,),
        "generators": Generators(0),
        "device": CPU,
        "head": None,
        "generated": ("*",),
        "train_shared": False,
        "precision": "float32",
        "compile": False,
        "inference": EntropySettings(),
        "noise": NoiseSettings(draws=3),
        "covariance": CovarianceSettings(),
        "projection": ProjectionSettings(),
        "patches": PatchSettings(),
        "posterior": PosteriorSettings(rank=4),
        "kinds": SumSettings(),
    }
    assert changes.keys() <= {*settings, "criterion"}, changes.keys() - settings.keys()
    settings |= changes
    return build_method(name, settings.pop("network"), scenario, {}, **settings)


class Confident(Separate):
    """A network for each task; where the task is not given, the most confident one answers."""

    answers: tuple[ScenarioName, ...] = ("task", "domain", "class")

    def predict(
        self, x: Tensor, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        asked = answered(self, scenario)
        if task is not None or asked.name == "task":
            return super().predict(x, task)
        widest = max(self.scenario.heads)
        scores = torch.full((len(self.learners), len(x), widest), -torch.inf)
        for index, outputs in enumerate(self.scenario.heads):
            scores[index, :, :outputs] = super().predict(x, index).logits.log_softmax(1)
        tasks = scores.max(dim=2).values.argmax(dim=0)
        return Prediction(asked.place(scores[tasks, torch.arange(len(x))], tasks), tasks)


def batches(part: Part, n: int, seed: int = 0, batch_size: int = 16) -> list[Batch]:
    """The first `n` mini-batches of a task."""
    stream = BatchStream([part], batch_size, torch.Generator().manual_seed(seed))
    return [stream.next() for _ in range(n)]


def learn(method: Method, part: Part, iterations: int = 20, outputs: int = 2) -> list[dict]:
    """One whole task; returns what the updates reported."""
    method.begin_task(TaskSpec(outputs, iterations))
    reported = [method.update(batch) for batch in batches(part, iterations)]
    method.end_task(each_once([part], 16))
    return reported
