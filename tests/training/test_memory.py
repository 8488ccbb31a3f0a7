from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch

from hypermnesia.training import memory
from hypermnesia.training.memory import peak_memory_mb, reset_peak_memory

CPU = torch.device("cpu")


def resets() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


@pytest.mark.skipif(not resets(), reason="this system does not let a process reset its peak")
def test_the_peak_is_of_what_came_after_the_reset() -> None:
    reset_peak_memory(CPU)
    before = peak_memory_mb(CPU)
    block = torch.ones(100_000_000, dtype=torch.uint8)
    del block
    gc.collect()
    assert 80 < peak_memory_mb(CPU) - before < 140
    reset_peak_memory(CPU)
    assert peak_memory_mb(CPU) < before + 50


def test_elsewhere_the_system_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = peak_memory_mb(CPU)
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "none")
    monkeypatch.setattr(memory, "_CLEAR_REFS", tmp_path / "none" / "none")
    reset_peak_memory(CPU)
    assert peak_memory_mb(CPU) == pytest.approx(here, rel=0.9)
