"""Split benchmarks: every task has some of a data set's classes.

F. Zenke, B. Poole, S. Ganguli, "Continual learning through synaptic intelligence", ICML 2017,
arXiv:1703.04200.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hypermnesia.data.holdout import hold_out
from hypermnesia.data.images import ImageData
from hypermnesia.data.settings import BenchmarkSettings
from hypermnesia.data.sources import SOURCES, load
from hypermnesia.data.types import Part, Task
from hypermnesia.seeding import Generators


@dataclass(frozen=True)
class Piece:
    """Consecutive tasks from one data set.

    Attributes:
        source: the data set.
        tasks: number of tasks.
        classes: classes of each task.
    """

    source: str
    tasks: int
    classes: int

    def groups(self, class_order: int | None) -> list[list[int]]:
        """The classes of each task, in natural order or in one shuffled by a seed."""
        order = list(range(SOURCES[self.source].classes))
        if class_order is not None:
            generator = Generators(class_order)["class-order"]
            order = torch.randperm(len(order), generator=generator).tolist()
        starts = range(0, self.tasks * self.classes, self.classes)
        return [order[start : start + self.classes] for start in starts]


def split_tasks(
    pieces: Sequence[Piece], settings: BenchmarkSettings, tasks: int, seed: int
) -> tuple[Task, ...]:
    """The first `tasks` tasks of `pieces`; loads only the data sets that they need."""
    every = [
        (piece.source, group) for piece in pieces for group in piece.groups(settings.class_order)
    ]
    chosen = every[:tasks]
    data = {source: load(source, settings.data_dir) for source in dict(chosen)}
    generators = Generators(seed)
    return tuple(
        split_task(
            data[source],
            classes,
            index,
            name=f"{source} {_label(classes)}",
            validation=settings.validation,
            generator=generators[f"validation/{index}"],
        )
        for index, (source, classes) in enumerate(chosen)
    )


def split_task(
    data: ImageData,
    classes: Sequence[int],
    index: int,
    *,
    name: str,
    validation: int,
    generator: torch.Generator,
) -> Task:
    """The task of telling `classes` apart; a label is a class's place among them.

    Args:
        data: the data set, whose storage the task shares.
        classes: classes of the task, in the order of its labels.
        index: position of the task in its sequence.
        name: what a table calls the task.
        validation: training samples to hold out.
        generator: draws them.
    """
    place = torch.full((data.classes,), -1)
    place[torch.tensor(classes)] = torch.arange(len(classes))
    train_y, test_y = place[data.train_y], place[data.test_y]
    rows, held_out = hold_out(_rows(train_y), validation, generator)

    def part(x: Tensor, y: Tensor, rows: Tensor) -> Part:
        return Part(x, y[rows], index, data.scale, rows=rows)

    kept = None if held_out is None else part(data.train_x, train_y, held_out)
    train, test = part(data.train_x, train_y, rows), part(data.test_x, test_y, _rows(test_y))
    return Task(index, name, len(classes), train, kept, test)


def _rows(y: Tensor) -> Tensor:
    return (y >= 0).nonzero().squeeze(1)


def _label(classes: Sequence[int]) -> str:
    in_order = list(classes) == list(range(classes[0], classes[-1] + 1))
    return f"{classes[0]}-{classes[-1]}" if in_order else ",".join(map(str, classes))
