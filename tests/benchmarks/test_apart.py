"""A measurement in a process of its own."""

import sys

import pytest
from benchmarks.measure import measure_apart
from benchmarks.spec import CannotMeasure, Spec

TINY = ("target.hidden=[12]", "train.batch_size=4", "hypernet.chunk=900")


def test_a_fresh_process_answers() -> None:
    found = measure_apart(Spec("closed", 1, outputs=5, iterations=3, assignments=TINY))
    assert len(found.times_ms) == 3
    assert found.peak_mb > 0


def test_a_process_that_dies_is_told_with_its_last_words(monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(CannotMeasure, match="ended with 1: no message"):
        measure_apart(Spec("closed", 1))
