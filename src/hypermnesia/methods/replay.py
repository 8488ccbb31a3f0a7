"""Replay: a plain classifier goes on learning what its former self knew, on generated samples.

What `hnet-r`, `dgr` and `dgr-distill` share: they differ in the memory that the samples come from
and in the former answers, soft or hard.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.distillation import DistillationSettings, distill
from hypermnesia.methods.base import State, TaskSpec, accuracy
from hypermnesia.methods.baselines import Finetune
from hypermnesia.methods.generative import Replayed
from hypermnesia.methods.sampler import Sampler
from hypermnesia.precision import autocast


@dataclass(frozen=True)
class ReplaySettings:
    """How replayed samples enter a loss.

    Attributes:
        share: weight of the loss on them, against that of the current samples: `half` (von
            Oswald et al. 2020, public code), or by `tasks`: 1 - 1/t in task t (van de Ven et al.
            2022).
    """

    share: Literal["half", "tasks"] = "half"

    def mix(self, current: Tensor, past: Tensor, tasks: int) -> Tensor:
        """The loss in a task, of `tasks` so far, that has the losses `current` and `past`."""
        weight = 0.5 if self.share == "half" else 1 - 1 / tasks
        return (1 - weight) * current + weight * past


class ReplayMemory(Sampler, Protocol):
    """Where samples of earlier tasks come from; it learns along with who asks for them."""

    def begin_task(self, iterations: int) -> None:
        """Make ready to replay the tasks so far, and to learn one more."""

    def replay(self, n: int) -> Replayed | None:
        """At least `n` fresh samples of the earlier tasks; None if there is none."""

    def update(self, x: Tensor, replayed: Replayed | None) -> dict[str, Tensor]:
        """One iteration on (batch, *sample) inputs of the task, and on replayed ones if need be."""

    def end_task(self) -> None:
        """Drop what only the task's training needed."""

    @property
    def kept(self) -> int:
        """Number of learned values."""

    def state_dict(self) -> State:
        """Everything that a later call depends on."""

    def load_state_dict(self, state: State) -> None:
        """Put a newly built memory where `state_dict` found the other."""


class ReplayClassifier(Finetune):
    """A plain classifier trained on current samples, and on replayed ones with former answers.

    The former answers are those of its copy at the start of the task: to a sample of a task that
    is known, over the candidates of that task; otherwise, in the task scenario, by each of the
    earlier heads.

    Args:
        network: template, left unchanged; its weights are the initial ones.
        scenario: how the task's samples are answered.
        memory: where samples of earlier tasks come from.
        replay: how they enter the loss.
        distillation: of soft answers; None takes the former answer for the truth.
        unseen: former score of classes that are new: -inf gives them no probability.
        plain: the other keyword arguments of `Finetune`.
    """

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        memory: ReplayMemory,
        replay: ReplaySettings,
        distillation: DistillationSettings | None = None,
        unseen: float = -torch.inf,
        **plain: Any,
    ) -> None:
        super().__init__(network, scenario, **plain)
        self.memory, self.replay = memory, replay
        self.distillation, self.unseen = distillation, unseen
        self.former: nn.Module | None = None

    @property
    def sampler(self) -> Sampler:
        """The memory."""
        return self.memory

    def begin_task(self, spec: TaskSpec) -> None:
        """Keep a copy of the network that knows the tasks so far."""
        super().begin_task(spec)
        self.memory.begin_task(spec.iterations)
        if len(self.scenario.heads) > 1:
            self.former = self._copy()

    def _copy(self) -> nn.Module:
        return copy.deepcopy(self.network).requires_grad_(False).eval()

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """A step of the classifier and one of the memory."""
        replayed = self.memory.replay(len(batch))
        remembered = self.memory.update(batch.original, replayed)
        if replayed is None:
            return super().update(batch) | remembered
        # One pass over both, so that statistics of a batch are those of all tasks.
        scores = self._scores(torch.cat([batch.x, replayed.x]))
        current = self._masked(scores[: len(batch)], batch.task)
        labels = self.scenario.labels(batch.y, batch.task)
        past = self._past_loss(scores[len(batch) :], replayed)
        tasks = len(self.scenario.heads)
        loss = self.replay.mix(self.criterion(current, labels), past, tasks)
        stepped = self._optimize(loss)
        metrics = {"loss": loss.detach(), "accuracy": accuracy(current.detach(), labels)}
        return metrics | {"replay_loss": past.detach()} | stepped | remembered

    def _past_loss(self, scores: Tensor, replayed: Replayed) -> Tensor:
        """How far the answers to replayed samples are from the former ones."""
        targets, tasks = self._former_scores(replayed.x), replayed.tasks
        if tasks is None and self.scenario.name == "task":
            heads = len(self.scenario.heads) - 1
            tasks = torch.arange(heads, device=scores.device).repeat_interleave(len(scores))
            scores, targets = scores.repeat(heads, 1), targets.repeat(heads, 1)
        if tasks is not None:
            scores, targets = self._masked(scores, tasks), self._masked(targets, tasks)
        if self.distillation is None:
            return F.cross_entropy(scores, targets.argmax(dim=1))
        soft = distill(scores, targets, self.distillation.temperature)
        return self.distillation.strength * soft

    @torch.no_grad()
    def _former_scores(self, x: Tensor) -> Tensor:
        assert self.former is not None  # noqa: S101 - samples are replayed from task 2 on
        with autocast(self.precision, self.device):
            scores: Tensor = self.former(x).float()
        known = Scenario(self.scenario.name, self.scenario.heads[:-1]).columns
        return torch.cat([scores[:, :known], torch.full_like(scores[:, known:], self.unseen)], 1)

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Drop what only the task's training needed."""
        super().end_task(batches)
        self.former = None
        self.memory.end_task()

    def compression(self) -> float:
        """(The classifier + all that the memory keeps) / the classifier."""
        own = sum(p.numel() for p in self.network.parameters())
        return (own + self.memory.kept) / own

    def state_dict(self) -> State:
        """The classifier, its former self within a task, and the memory."""
        former = dict(self.former.state_dict()) if self.former else None
        return super().state_dict() | {"former": former, "memory": self.memory.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        super().load_state_dict(state)
        self.memory.load_state_dict(state["memory"])
        self.former = None
        if state["former"] is not None:
            self.former = self._copy()
            self.former.load_state_dict(state["former"])
