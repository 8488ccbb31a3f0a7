"""`hnet-tir`: a network for each task; a classifier that was taught with replay tells the task.

HNET+TIR of von Oswald et al. 2020 (arXiv 1906.00695): one hypernetwork makes classifiers, another
the decoders of a generative memory, and a plain network learns to tell current samples from those
that the memory gives of earlier tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.compute import Precision
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError
from hypermnesia.evidence.autoencoders import (
    AutoencoderSettings,
    GenerativeMemory,
    Replayed,
    Sampler,
)
from hypermnesia.methods.base import TaskSpec, accuracy
from hypermnesia.methods.hnet import InferredTaskMethod
from hypermnesia.methods.plain import Finetune
from hypermnesia.methods.replay import ReplaySettings
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State


class TaskRecognizer(Finetune):
    """A plain classifier with an output for each task, trained from the second task on.

    Args:
        network: template, left unchanged; its weights are the initial ones.
        replay: how replayed samples enter the loss.
        plain: the other keyword arguments of `Finetune`.
    """

    def __init__(self, network: nn.Module, *, replay: ReplaySettings, **plain: Any) -> None:
        super().__init__(network, "class", **plain)  # a task is a class, of one task each
        self.replay = replay
        self.generators["dropout"]  # first drawn from in task 2; its state is saved before

    def learn(self, x: Tensor, replayed: Replayed | None) -> dict[str, Tensor]:
        """A step on (batch, *sample) inputs of the current task against replayed ones."""
        if replayed is None:
            return {}
        tasks, current = len(self.scenario.heads), len(x)
        labels = torch.full((current,), tasks - 1, device=x.device)
        labels = torch.cat([labels, cast(Tensor, replayed.tasks)])
        scores = self._scores(torch.cat([x, replayed.x]))
        losses = F.cross_entropy(scores, labels, reduction="none")
        loss = self.replay.mix(losses[:current].mean(), losses[current:].mean(), tasks)
        reported = {f"task_{name}": value for name, value in self._optimize(loss).items()}
        reported |= {"task_loss": loss.detach()}
        return reported | {"task_accuracy": accuracy(scores.detach(), labels)}

    def evidence(self, x: Tensor) -> Tensor:
        """(tasks, batch) log probability of each task for (batch, *sample) inputs."""
        return self.predict(x).scores.log_softmax(dim=1).T


class HypernetTir(InferredTaskMethod):
    """A hypernetwork's classifiers, of which a `TaskRecognizer` picks one.

    Args:
        network: template of the classifiers and of the recogniser, left unchanged.
        scenario: `task`, the scenario of its training whatever it answers in.
        vae: the autoencoders of the generative memory.
        sample_shape: of a sample.
        replay: how replayed samples enter the recogniser's loss.
        optimizer: for θ of the classifiers, and for the recogniser.
        generators: the streams of `HypernetMethod` and of `GenerativeMemory`; those of the
            recogniser are called `recognizer/...`.
        device: where everything lives.
        head: name of the output layer; the last linear layer by default.
        precision: of what training makes and runs.
        settings: the other keyword arguments of `HypernetMethod`.
    """

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        vae: AutoencoderSettings,
        sample_shape: Sequence[int],
        replay: ReplaySettings,
        optimizer: OptimizerSettings,
        generators: Generators,
        device: torch.device,
        head: str | None = None,
        precision: Precision = "float32",
        **settings: Any,
    ) -> None:
        plain: dict[str, Any] = {"optimizer": optimizer, "generators": generators}
        plain |= {"device": device, "head": head, "precision": precision}
        super().__init__(network, scenario, **plain, **settings)
        own = plain | {"generators": generators.under("recognizer")}
        self.recognizer = TaskRecognizer(network, replay=replay, **own)
        self.generative = GenerativeMemory(
            vae,
            sample_shape=sample_shape,
            generators=generators,
            device=device,
            precision=precision,
        )

    @property
    def sampler(self) -> Sampler:
        """The memory."""
        return self.generative

    def begin_task(self, spec: TaskSpec) -> None:
        """Give the task an embedding, a head, a decoder and an output of the recogniser."""
        super().begin_task(spec)
        self.generative.begin_task(spec.iterations)
        self.recognizer.begin_task(TaskSpec(1, spec.iterations))

    def continue_task(self, task: int, iterations: int) -> None:  # noqa: ARG002
        """Not possible: what the memory replays is told apart from the newest task only.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("hnet-tir cannot go on with a task that has ended", got=task)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """A step of the classifier, of the memory and, from task 2 on, of the recogniser."""
        replayed = self.generative.replay(len(batch))
        return {
            **super().update(batch),
            **self.generative.update(batch.original),
            **self.recognizer.learn(batch.original, replayed),
        }

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Nothing to keep but hypernetworks, embeddings, the encoder and the recogniser."""
        super().end_task(batches)
        self.generative.end_task()
        self.recognizer.end_task(())

    def evidence(self, x: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002
        """(tasks, batch): what the recogniser says."""
        return self.recognizer.evidence(x)

    def compression(self) -> float:
        """(All that the hypernetworks, the encoder and the recogniser keep) / |W|."""
        recognizer = sum(p.numel() for p in self.recognizer.network.parameters())
        return (self.memory.kept + self.generative.kept + recognizer) / self.memory.largest

    def state_dict(self) -> State:
        """The classifiers, the memory and the recogniser."""
        own = {"generative": self.generative.state_dict()}
        return super().state_dict() | own | {"recognizer": self.recognizer.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        super().load_state_dict(state)
        self.generative.load_state_dict(state["generative"])
        self.recognizer.load_state_dict(state["recognizer"])
