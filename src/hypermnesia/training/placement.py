"""Tasks brought to the device that trains, storage that they share only once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from hypermnesia.data.types import Part, Task


def place(tasks: Sequence[Task], device: torch.device) -> list[Task]:
    """`tasks` with all their samples on `device`.

    `Part.to` would give each part a copy of its own: ten permutations of MNIST, ten copies.
    """
    moved: dict[int, Tensor] = {}

    def move(part: Part) -> Part:
        x = moved.setdefault(id(part.x), part.x.to(device))
        rows = None if part.rows is None else part.rows.to(device)
        return replace(part, x=x, y=part.y.to(device), rows=rows)

    return [
        replace(
            task,
            train=move(task.train),
            validation=None if task.validation is None else move(task.validation),
            test=move(task.test),
        )
        for task in tasks
    ]
