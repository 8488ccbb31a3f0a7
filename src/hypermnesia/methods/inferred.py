"""A network for each task, which may be unknown: one training answers in every scenario."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.hypernet.all_tasks import AllTasks
from hypermnesia.methods.base import Prediction, TaskSpec, answered
from hypermnesia.methods.hnet import HypernetMethod


class InferredTaskMethod(HypernetMethod):
    """A hypernetwork with a head for each task, which is inferred where it is not given.

    A subclass says how, in `evidence`; what it learns for that is its own.

    Args:
        network: template of the target networks, left unchanged.
        scenario: `task`, the scenario of its training whatever it answers in.
        settings: the keyword arguments of `HypernetMethod`.
    """

    answers: tuple[ScenarioName, ...] = ("task", "domain", "class")

    def __init__(self, network: nn.Module, scenario: ScenarioName, **settings: Any) -> None:
        super().__init__(network, scenario, **settings)
        self.all_tasks = AllTasks(self.memory)

    def begin_task(self, spec: TaskSpec) -> None:
        """Give the task an embedding and a head, and protect the earlier ones."""
        self.all_tasks.forget()
        super().begin_task(spec)

    def continue_task(self, task: int, iterations: int) -> None:
        """Go on learning a task that has ended; all others are protected."""
        self.all_tasks.forget()
        super().continue_task(task, iterations)

    def scores_of_all(self, x: Tensor) -> Tensor:
        """(tasks, batch, widest head) of every task's network, -inf beyond its outputs."""
        return self.all_tasks(x)

    @abstractmethod
    def evidence(self, x: Tensor, scores: Tensor) -> Tensor:
        """How much speaks for each task; the most decides.

        Args:
            x: (batch, *sample) inputs.
            scores: (tasks, batch, widest head) of every task's network, -inf beyond its outputs.

        Returns:
            (tasks, batch), in nats where it is a likelihood or an entropy.
        """

    def infer(self, x: Tensor, scores: Tensor) -> Tensor:
        """(batch,) int64 task of each sample; arguments as of `evidence`."""
        return self.evidence(x, scores).argmax(dim=0)

    @torch.no_grad()
    def inferred(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, widest head) scores of the inferred task's network, and (batch,) tasks."""
        scores = self.scores_of_all(x)
        tasks = self.infer(x, scores)
        return scores[tasks, torch.arange(len(x), device=x.device)], tasks

    @torch.no_grad()
    def predict(
        self, x: Tensor, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Scores of the network of the given task or, but in the task scenario, the inferred one.

        Inputs are (batch, *sample).

        Raises:
            ConfigError: another scenario, or the task was not given in the task scenario.
        """
        asked = answered(self, scenario)
        if asked.name == "task":
            return super().predict(x, task)
        if task is None:
            scores, tasks = self.inferred(x)
        else:
            scores = self.all_tasks(x)[task]
            tasks = torch.full((len(x),), task, device=x.device)
        return Prediction(asked.place(scores, tasks), tasks)
