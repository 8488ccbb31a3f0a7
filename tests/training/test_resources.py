from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hypermnesia import compute as resources
from hypermnesia.compute import peak_memory_mb, reset_peak_memory

CPU = torch.device("cpu")
HERE = Path(__file__).parent

TRAININGS = """
import sys, torch
from tiny_run import CPU, Linear, make_tasks
from hypermnesia.seeding import Generators
from hypermnesia.training import Observer, TrainSettings, train
from hypermnesia.compute import keep_freed_memory

def peak(features):
    generators, tasks = Generators(0), make_tasks(2, 20_000, features)
    method = Linear(generators, features=features)
    settings = TrainSettings(batch_size=20_000, iterations=2)
    return train(method, tasks, settings=settings, generators=generators, observer=Observer(),
                 device=CPU).peak_memory_mb

torch.set_num_threads(1)
keep_freed_memory()
print(*(peak(int(features)) for features in sys.argv[1:]))
"""


def peaks(*features: int) -> list[float]:
    """Peak memory of trainings on so many features, one after another in a process."""
    command = [sys.executable, "-c", TRAININGS, *map(str, features)]
    told = subprocess.check_output(command, env={**os.environ, "PYTHONPATH": str(HERE)})
    return [float(peak) for peak in told.split()]


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


@can_reset
def test_a_large_training_is_not_counted_to_the_next_one() -> None:
    [alone] = peaks(3)
    large, small = peaks(500, 3)
    assert large > 1.5 * alone
    assert small == pytest.approx(alone, rel=0.15)


def test_elsewhere_the_system_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its figure is the same high-water mark, but of the whole process: no reset lowers it."""
    block = torch.ones(100_000_000, dtype=torch.uint8)
    here = peak_memory_mb(CPU)
    del block
    monkeypatch.setattr(resources, "_STATUS", tmp_path / "none")
    monkeypatch.setattr(resources, "_CLEAR_REFS", tmp_path / "none" / "none")
    whole = peak_memory_mb(CPU)
    assert whole > 0.95 * here
    reset_peak_memory(CPU)
    assert peak_memory_mb(CPU) == pytest.approx(whole, rel=0.01)
