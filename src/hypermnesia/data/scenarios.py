"""The three scenarios of continual learning: which outputs a sample is answered with.

van de Ven, Tuytelaars, Tolias, "Three types of incremental learning", Nat. Mach. Intell. 2022.
Everything about labels and heads is decided here, in terms of *columns*: the outputs of an
imagined network that answers for all tasks.
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
"""The three scenarios of van de Ven et al. 2022, by what is known of the task at test time."""

_ALIASES: dict[str, ScenarioName] = {
    **dict.fromkeys(("task", "cl1", "til", "1", "task-il", "task-incremental"), "task"),
    **dict.fromkeys(("domain", "cl2", "dil", "2", "domain-il", "domain-incremental"), "domain"),
    **dict.fromkeys(("class", "cl3", "cil", "3", "class-il", "class-incremental"), "class"),
}


def scenario_name(name: str) -> ScenarioName:
    """The scenario that `name` or one of its aliases (CL1, TIL, 1, ...) stands for.

    Raises:
        ConfigError: no scenario is called so.
    """
    key = str(name).lower()
    if key not in _ALIASES:
        raise unknown_name("scenario", name, _ALIASES)
    return _ALIASES[key]


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
        """The scenario after one more task with `outputs` classes."""
        return replace(self, heads=(*self.heads, outputs))

    @property
    def columns(self) -> int:
        """Width of a single network that answers for all tasks seen."""
        return max(self.heads, default=0) if self.name == "domain" else sum(self.heads)

    def offset(self, task: int) -> int:
        """First column of a task's classes."""
        return self._starts[task]

    def candidates(self, task: int) -> slice:
        """The columns among which a sample of `task` is answered."""
        if self.name == "class":
            return slice(0, self.columns)
        return slice(self.offset(task), self.offset(task) + self.heads[task])

    def labels(self, y: Tensor, task: Tensor) -> Tensor:
        """Columns of the right answers. `y`, `task` and the result are (batch,) int64."""
        if y.device not in self._offsets:
            self._offsets[y.device] = torch.tensor(self._starts, device=y.device)
        return y + self._offsets[y.device][task]

    def active(self, task: Tensor) -> Tensor:
        """(batch, columns) bool: the `candidates` of each sample's task; `task` is (batch,)."""
        if task.device not in self._actives:
            table = torch.zeros(len(self.heads), self.columns, dtype=torch.bool)
            for index in range(len(self.heads)):
                table[index, self.candidates(index)] = True
            self._actives[task.device] = table.to(task.device)
        return self._actives[task.device][task]

    def named(self, name: ScenarioName) -> Scenario:
        """The scenario called `name` with these heads."""
        return self if name == self.name else replace(self, name=name)

    def place(self, scores: Tensor, tasks: Tensor) -> Tensor:
        """Scores over a task's own classes as scores over all columns.

        Args:
            scores: (batch, k) over the classes of each sample's task, counted from 0; k is the
                widest head or more, and entries beyond a task's own are not read.
            tasks: (batch,) int64 task of each sample, often one that was inferred.

        Returns:
            (batch, columns), -inf at the columns that are none of the sample's task.
        """
        if tasks.device not in self._places:
            self._places[tasks.device] = self._place_table().to(tasks.device)
        columns = self._places[tasks.device][tasks]
        # One column more, for what belongs nowhere.
        placed = scores.new_full((len(scores), self.columns + 1), -torch.inf)
        return placed.scatter(1, columns, scores)[:, : self.columns]

    def _place_table(self) -> Tensor:
        """(tasks, widest head) int64: the column of each class, `columns` for what is no class."""
        table = torch.full((len(self.heads), max(self.heads, default=0)), self.columns)
        for task, outputs in enumerate(self.heads):
            table[task, :outputs] = self.offset(task) + torch.arange(outputs)
        return table

    # Asked for at every batch: made once for each device. None is a field: scenarios are equal
    # by their name and heads.

    @cached_property
    def _starts(self) -> tuple[int, ...]:
        """First column of each task and, at the end, of the next one."""
        if self.name == "domain":
            return (0,) * (len(self.heads) + 1)
        return tuple(accumulate(self.heads, initial=0))

    @cached_property
    def _offsets(self) -> dict[torch.device, Tensor]:
        return {}

    @cached_property
    def _places(self) -> dict[torch.device, Tensor]:
        return {}

    @cached_property
    def _actives(self) -> dict[torch.device, Tensor]:
        return {}
