"""Conditions: what a hypernetwork makes the weights of a task from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.registry import Registry, must_be
from hypermnesia.seeding import Generators


class Condition(Protocol):
    """The input of a hypernetwork, for every task; `hypermnesia.testing.check_condition` checks it.

    The same tasks give the same rows, of `size` E, until a parameter changes: the output
    regulariser, and whoever keeps generated weights, rely on it.
    """

    size: int

    @property
    def tasks(self) -> int:
        """The number of tasks added so far."""

    @property
    def kept(self) -> int:
        """The number of learned values."""

    def parameters(self, task: int) -> list[nn.Parameter]:
        """Return what training a task changes of the condition; tasks may share parameters."""

    def add_task(self, generators: Generators) -> None:
        """Make room for one more task; rows of earlier ones stay as they are."""

    def remove_task(self, task: int) -> None:
        """Forget a task, whose number the next one takes; rows of the others stay as they are."""

    def __call__(self, tasks: Sequence[int], context: Any = None) -> Float[Tensor, "n E"]:
        """Make a differentiable row for each task; `context`, such as samples, may be None."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the rows depend on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Bring back the tasks and values of `state`, whatever was here."""


CONDITIONS: Registry[Callable[..., Condition]] = Registry(
    "condition", "conditions", must_be("a function or class")
)
"""By name: (settings, device, **settings.condition_options) -> a condition without tasks."""


class TaskEmbedding:
    """A learned vector for each task (von Oswald et al. 2020, section 2)."""

    def __init__(self, settings: HypernetSettings, device: torch.device) -> None:
        self.size = self.entries = settings.task_embedding
        self.start = settings.embedding_start
        self.device = device
        self.embeddings: list[nn.Parameter] = []

    @property
    def tasks(self) -> int:
        """The number of tasks added so far."""
        return len(self.embeddings)

    @property
    def kept(self) -> int:
        """The number of learned values: E a task."""
        return self.entries * len(self.embeddings)

    def parameters(self, task: int) -> list[nn.Parameter]:
        """Return the embedding of a task."""
        return [self.embeddings[task]]

    @torch.no_grad()
    def add_task(self, generators: Generators) -> None:
        """Add an embedding; it is drawn from the stream `embedding`, or the mean of the others."""
        if self.embeddings and self.start == "mean":
            value = torch.stack(list(self.embeddings)).mean(dim=0)
        else:
            value = torch.randn(self.entries, generator=generators["embedding"]).to(self.device)
        self.embeddings.append(nn.Parameter(value))

    def remove_task(self, task: int) -> None:
        """Drop an embedding."""
        del self.embeddings[task]

    @torch.no_grad()
    def copy_task(self, task: int) -> None:
        """Add a task with the embedding of another."""
        self.embeddings.append(nn.Parameter(self.embeddings[task].detach().clone()))

    @torch.no_grad()
    def place(self, task: int, other: int) -> None:
        """Let a task have the embedding of another."""
        self.embeddings[task].copy_(self.embeddings[other])

    def __call__(self, tasks: Sequence[int], context: Any = None) -> Float[Tensor, "n E"]:  # noqa: ARG002
        """Stack the embeddings of some tasks."""
        return torch.stack([self.embeddings[task] for task in tasks])

    def state_dict(self) -> dict[str, Any]:
        """Return the embeddings."""
        return {"embeddings": [e.detach() for e in self.embeddings]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over the embeddings of `state`; raises `ValueError` unless they have E entries."""
        if any(e.shape != (self.entries,) for e in state["embeddings"]):
            raise ValueError(f"embeddings that are not of {self.entries} entries")
        values = [e.detach().to(self.device, copy=True) for e in state["embeddings"]]
        self.embeddings = [nn.Parameter(value) for value in values]


CONDITIONS.add("embedding", TaskEmbedding)
CONDITIONS.add("data", "hypermnesia.hypernet.task_data:DataCondition")
CONDITIONS.add("noise", "hypermnesia.hypernet.noise:NoisyEmbedding")
