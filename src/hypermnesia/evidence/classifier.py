"""`classifier`: a plain network, trained on generated samples, that recognises the task.

task = argmax_t p(t | x) of a classifier that learns Σ -log p(t | x) on samples of the current task
against those that a generative memory gives of earlier ones: HNET+TIR of von Oswald et al. 2020
(arXiv 1906.00695), section 2. One hypernetwork makes the networks, another the memory's decoders.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.compute import autocast
from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.evidence import Evidence, autoencoders
from hypermnesia.evidence.autoencoders import AutoencoderSettings, ReplaySettings
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.modules import copied, dense
from hypermnesia.nets import with_outputs
from hypermnesia.optimizers import Descent, OptimizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.tree import logits_of

_HALF = ReplaySettings()


class TaskClassifier(Evidence):
    """A classifier with an output for each task, trained from the second task on.

    It starts as a copy of `network`, whose output layer is `head`, or the last linear layer. Device
    and precision are those of `networks`; the streams of `GenerativeMemory` and those called
    `recognizer/...` are used.
    """

    def __init__(
        self,
        networks: AllTasks,
        *,
        network: nn.Module,
        vae: AutoencoderSettings,
        replay: ReplaySettings = _HALF,
        optimizer: OptimizerSettings,
        sample_shape: Sequence[int],
        generators: Generators,
        head: str | None = None,
    ) -> None:
        self.device, self.precision = networks.memory.device, networks.memory.precision
        own: dict[str, Any] = {"device": self.device, "precision": self.precision}
        own |= {"sample_shape": sample_shape, "generators": generators}
        self.sampler = autoencoders.GenerativeMemory(vae, **own)
        self.template, self.head, self.replay = dense(copied(network)), head, replay
        self.network = copied(self.template).to(self.device)
        self.descent, self.tasks = Descent(optimizer), 0
        self.generators = generators.under("recognizer")
        self.generators["dropout"]  # first drawn from in task 2; its state is saved before

    def begin_task(self, spec: TaskSpec) -> None:
        """Make room for a decoder and an output more."""
        self.sampler.begin_task(spec.iterations)
        self.tasks += 1
        self.network = with_outputs(self.network, self.tasks, self.generators["head"], self.head)
        self.descent.begin(self.network.parameters(), spec.iterations)

    def continue_task(self, task: int, spec: TaskSpec) -> None:  # noqa: ARG002
        """Raise `ConfigError`: replayed samples only serve to recognise the newest task."""
        rule = "hnet-tir cannot go on with a task that has ended"
        raise ConfigError(rule, got=task, hint="use hnet-lik or hnet-ent, which can")

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """A step of the memory and, from task 2 on, of the classifier."""
        replayed = self.sampler.replay(len(batch))
        metrics = self.sampler.update(batch.original)
        if replayed is None:
            return metrics
        x = batch.original
        labels = torch.full((len(x),), self.tasks - 1, device=x.device)
        labels = torch.cat([labels, cast(Tensor, replayed.tasks)])
        self.network.train()
        with self.generators.as_global("dropout"), autocast(self.precision, self.device):
            logits = logits_of(self.network(torch.cat([x, replayed.x]))).float()
        losses = F.cross_entropy(logits, labels, reduction="none")
        loss = self.replay.mix(losses[: len(x)].mean(), losses[len(x) :].mean(), self.tasks)
        self.descent.backward(loss)
        accuracy = (logits.detach().argmax(dim=1) == labels).float().mean()
        norm = self.descent.step()
        return {"task_gradient": norm, "task_loss": loss.detach(), "task_accuracy": accuracy}

    def end_task(self, batches: Iterable[Batch]) -> None:  # noqa: ARG002
        """Drop what only the task's training needed."""
        self.sampler.end_task()
        self.descent.end()

    def log_evidence(self, x: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """(tasks, batch) log p(t | x)."""
        return logits_of(self.network.eval()(x)).log_softmax(dim=1).T

    @property
    def kept(self) -> int:
        """Number of learned values of the memory and the classifier."""
        return self.sampler.kept + sum(p.numel() for p in self.network.parameters())

    def state_dict(self) -> State:
        """The memory, the classifier and, within a task, the state of their training."""
        memory, network = self.sampler.state_dict(), dict(self.network.state_dict())
        own = {"memory": memory, "tasks": self.tasks, "network": network}
        return own | self.descent.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Put a new evidence where `state_dict` found the other."""
        self.sampler.load_state_dict(state["memory"])
        self.tasks, self.network = state["tasks"], copied(self.template)
        if self.tasks:
            self.network = with_outputs(self.network, self.tasks, torch.Generator(), self.head)
        self.network.to(self.device).load_state_dict(state["network"])
        self.descent.load_state_dict(self.network.parameters(), state)
