from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hypermnesia.training import resources
from hypermnesia.training.resources import peak_memory_mb, reset_peak_memory

CPU = torch.device("cpu")

TRAININGS = """
import sys, torch
from pathlib import Path
from tiny_run import Run, make_tasks
from hypermnesia.training.resources import keep_freed_memory
torch.set_num_threads(1)
keep_freed_memory()
for position, features in enumerate(sys.argv[2:]):
    tasks = make_tasks(2, samples=2_000, features=int(features))
    for task in tasks:  # features of their own, of which the method sees the first three
        task.train.x.mul_(2).div_(2)
    run = Run(Path(sys.argv[1]) / str(position), tasks=tasks, batch_size=2_000, iterations=2)
    run.method.features = int(features)
    peak = run.go().peak_memory_mb
    del run, tasks, task
print(peak)
"""


def resets() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


can_reset = pytest.mark.skipif(
    not resets(), reason="this system does not let a process reset its peak"
)


@can_reset
def test_the_peak_is_of_what_came_after_the_reset() -> None:
    reset_peak_memory(CPU)
    before = peak_memory_mb(CPU)
    block = torch.ones(100_000_000, dtype=torch.uint8)
    del block
    gc.collect()
    assert 80 < peak_memory_mb(CPU) - before < 140
    reset_peak_memory(CPU)
    assert peak_memory_mb(CPU) < before + 50
