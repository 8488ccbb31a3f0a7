"""The three scenarios of continual learning: among which outputs a sample is classified.

van de Ven, Tuytelaars, Tolias, "Three types of incremental learning", Nat. Mach. Intell. 2022.
Only here, labels and heads are *columns*: the outputs of a single network for all tasks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import Literal

import torch
from torch import Tensor

from hypermnesia.registry import unknown_name

ScenarioName = Literal["task", "domain", "class"]
"""Scenarios differ in what is known of the task at test time."""

_ALIASES: dict[str, ScenarioName] = {
    **dict.fromkeys(("task", "cl1", "til", "1", "task-il", "task-incremental"), "task"),
    **dict.fromkeys(("domain", "cl2", "dil", "2", "domain-il", "domain-incremental"), "domain"),
    **dict.fromkeys(("class", "cl3", "cil", "3", "class-il", "class-incremental"), "class"),
}


def scenario_name(name: str) -> ScenarioName:
    """Return the scenario of a name or alias (CL1, TIL, 1, ...); may raise `ConfigError`."""
    if str(name).lower() not in _ALIASES:
        raise unknown_name("scenario", name, _ALIASES)
    return _ALIASES[str(name).lower()]


@dataclass(frozen=True)
class Scenario:
    """A scenario and the heads of the tasks seen so far.

    Attributes:
        name: `task` (own head, task given), `domain` (one head, same labels for every task) or
            `class` (all classes seen so far).
        heads: number of classes of each task, in the order of arrival.

    Example:
        >>> from hypermnesia import Scenario
        >>> seen = Scenario("class").add(2).add(3)
        >>> seen.columns, seen.offset(1), seen.candidates(0)
        (5, 2, slice(0, 5, None))
        >>> seen.named("task").candidates(1)
        slice(2, 5, None)
    """

    name: ScenarioName
    heads: tuple[int, ...] = ()

    def add(self, outputs: int) -> Scenario:
        """Return the scenario after one more task with `outputs` classes."""
        return replace(self, heads=(*self.heads, outputs))

    @property
    def columns(self) -> int:
        """Number of outputs of a single network for all tasks seen."""
        return max(self.heads, default=0) if self.name == "domain" else sum(self.heads)

    def offset(self, task: int) -> int:
        """Return the first column of a task's classes."""
        return self._starts[task]

    def candidates(self, task: int) -> slice:
        """Return the columns among which a sample of `task` is classified."""
        if self.name == "class":
            return slice(0, self.columns)
        return slice(self.offset(task), self.offset(task) + self.heads[task])

    def labels(self, y: Tensor, task: Tensor) -> Tensor:
        """Return the columns of labels `y`. `y`, `task` and the result are (batch,) int64."""
        key = "labels", y.device
        if key not in self._tables:
            self._tables[key] = torch.tensor(self._starts, device=y.device)
        return y + self._tables[key][task]

    def active(self, task: Tensor) -> Tensor:
        """Return the mask of `candidates`, (batch, columns) bool; `task` is (batch,)."""
        key = "active", task.device
        if key not in self._tables:
            table = torch.zeros(len(self.heads), self.columns, dtype=torch.bool)
            for index in range(len(self.heads)):
                table[index, self.candidates(index)] = True
            self._tables[key] = table.to(task.device)
        return self._tables[key][task]

    def named(self, name: ScenarioName) -> Scenario:
        """Return the scenario `name` with these heads."""
        return self if name == self.name else replace(self, name=name)

    def place(self, logits: Tensor, tasks: Tensor) -> Tensor:
        """Place logits over a task's own classes among all columns.

        `logits` are (batch, k), k at least the widest head; those beyond a task's own are ignored.
        `tasks` (batch,) int64 are given or inferred. Returns (batch, columns), -inf at the others.
        """
        key = "place", tasks.device
        if key not in self._tables:
            # (tasks, widest head): the column of each class, `columns` beyond a head.
            table = torch.full((len(self.heads), max(self.heads, default=0)), self.columns)
            for task, outputs in enumerate(self.heads):
                table[task, :outputs] = self.offset(task) + torch.arange(outputs)
            self._tables[key] = table.to(tasks.device)
        columns = self._tables[key][tasks]
        # One extra column, for ignored entries.
        placed = logits.new_full((len(logits), self.columns + 1), -torch.inf)
        return placed.scatter(1, columns, logits)[:, : self.columns]

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """First column of each task and, at the end, of the next one."""
        if self.name == "domain":
            return (0,) * (len(self.heads) + 1)
        return tuple(accumulate(self.heads, initial=0))

    @cached_property
    def _tables(self) -> dict[tuple[str, torch.device], Tensor]:
        """What every batch needs, kept by use and device."""
        return {}
