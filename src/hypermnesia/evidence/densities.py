"""A user's own density as the evidence: anything with `fit` and `score_samples`, one a task."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.evidence import Evidence
from hypermnesia.evidence.inputs import flat, rows_of
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.state_files import State
from hypermnesia.tree import Tree


class TaskDensities(Evidence):
    """The task under whose density a sample is likeliest, such as scikit-learn's `KernelDensity`.

    Args:
        networks: those of all tasks, of which only the number of tasks is used.
        density: `fit(x)` takes (n, D) inputs, `score_samples(x)` gives (n,) log densities. It is
            copied for each fit, and what the copies keep is not counted; a task that was fitted
            again has the mean of their densities, by samples.
    """

    from_samples = True

    def __init__(self, networks: AllTasks, *, density: Any) -> None:  # noqa: ARG002
        self.density, self.task = density, 0
        self.fitted: list[list[tuple[int, Any]]] = []

    def begin_task(self, spec: TaskSpec) -> None:  # noqa: ARG002
        """Note that a task has begun, of which there is no density yet."""
        self.task = len(self.fitted)

    def continue_task(self, task: int, spec: TaskSpec) -> None:  # noqa: ARG002
        """Note the task."""
        self.task = task

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Fit a copy to the task's samples."""
        x, _ = rows_of((batch.original, batch.y) for batch in batches)
        if self.task == len(self.fitted):
            self.fitted.append([])
        own = copy.deepcopy(self.density)
        own.fit(x.cpu().numpy())
        self.fitted[self.task].append((len(x), own))

    def log_evidence(self, x: Tree, logits: Tensor) -> Tensor:
        """(tasks, batch) log densities; the lowest for a task that has not ended."""
        found = [_mean(own, flat(x)) for own in self.fitted]
        lowest = torch.stack(found).amin(dim=0) if found else logits.new_zeros(logits.shape[1])
        found += [lowest] * (len(logits) - len(found))
        return torch.stack(found).to(logits)

    def remove_task(self, task: int) -> None:
        """Drop what was fitted for the task."""
        del self.fitted[task]
        self.task = len(self.fitted)

    def state_dict(self) -> State:
        """The objects themselves, which can be copied and not written to a file."""
        return {"task": self.task, "fitted": self.fitted}

    def load_state_dict(self, state: State) -> None:
        """Put an evidence where `state_dict` found the other."""
        self.task, self.fitted = state["task"], [[*own] for own in state["fitted"]]


def _mean(fitted: list[tuple[int, Any]], x: Tensor) -> Tensor:
    """(batch,) log of the mean density of (batch, D) inputs, by samples."""
    counts = torch.tensor([float(count) for count, _ in fitted])
    found = [torch.as_tensor(each.score_samples(x.cpu().numpy())) for _, each in fitted]
    return (torch.stack(found) + (counts / counts.sum()).log()[:, None]).logsumexp(dim=0)
