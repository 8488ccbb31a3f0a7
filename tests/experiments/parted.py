"""Trainings of one process, or of ranks; as a program, those of one rank among others.

`python parted.py FILE ITERATIONS`: rank 0 writes the losses of every update, by method and format.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from torch import nn

from hypermnesia.data.types import Part, Task
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.methods import build_method
from hypermnesia.parallel import Ranks, joined
from hypermnesia.seeding import Generators
from hypermnesia.training.loop import train
from hypermnesia.training.observers import Observer
from hypermnesia.training.phases import TrainSettings

EXACT = ("hnet", "hnet-bayes", "joint", "separate", "ewc", "si", "lwf")
CASES = [(method, torch.float64) for method in EXACT] + [("hnet", torch.float32)]
ITERATIONS = 50  # of each of two tasks


class Losses(Observer):
    """Remembers the loss of every update."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_update(self, phase, iteration, metrics) -> None:
        self.found.append(float(metrics["loss"]))


def tasks(dtype: torch.dtype) -> list[Task]:
    draw = torch.Generator().manual_seed(0)
    found = []
    for index in range(2):
        x = torch.randn(90, 6, generator=draw, dtype=torch.float64)
        y = (x[:, index] + x[:, 3] > 0).long()
        part = Part(x.to(dtype), y, index)
        found.append(Task(index, f"task {index}", 2, part, None, part))
    return found


def losses(method: str, dtype: torch.dtype, ranks: Ranks | None = None) -> list[float]:
    """The losses of all updates, on batches of 33, with dropout; at the end weights are alike."""
    torch.set_default_dtype(dtype)
    try:
        generators, device = Generators(3), torch.device("cpu")
        network = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.3, generator=generators["network"])
        own = {"generators": generators, "device": device}
        settings = {"hypernet": HypernetSettings(plan="full", hidden=(10,))}
        made = build_method(method, network, "task", settings, sample_shape=(6,), **own)
        watching, settings = Losses(), TrainSettings(batch_size=33, iterations=ITERATIONS)
        train(made, tasks(dtype), settings=settings, observer=watching, ranks=ranks, **own)
        return watching.found
    finally:
        torch.set_default_dtype(torch.float32)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined() as ranks:
        found = [losses(*case, ranks) for case in CASES]
        if ranks.rank == 0:
            Path(sys.argv[1]).write_text(json.dumps(found))
