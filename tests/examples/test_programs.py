"""The examples run as they stand, and their figures show that nothing was forgotten."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def figures(name: str) -> np.ndarray:
    """(tasks, columns) figures at the ends of the lines below the title that an example prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"(?: +\d+\.\d{3,4})+$", done.stdout, re.MULTILINE)
    return np.array([[float(each) for each in row.split()] for row in rows])


def test_all_are_here_and_short() -> None:
    lines = {path.stem: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}
    assert set(lines) == {"adapters", "backbone", "convolutional", "regression", "tabular"}
    assert max(lines.values()) < 80


def test_tables() -> None:
    given, inferred, plain = figures("tabular").T
    assert (given > 0.9).all()
    assert (inferred > 0.85).all()
    assert (plain[:2] < given[:2] - 0.1).all()  # the last task is not forgotten yet


def test_images() -> None:
    given, inferred, plain = figures("convolutional").T
    assert (given > 0.95).all()
    assert (inferred > 0.7).all()
    assert (plain[:2] < 0.1).all()


def test_curves() -> None:
    given, inferred, plain = figures("regression").T
    published = np.array([0.0042, 0.0024, 0.0061])  # von Oswald et al. 2020, with the task given
    assert (given < published).all()
    assert (inferred < published).all()
    assert (plain[:2] > 0.1).all()


def test_a_backbone() -> None:
    learner, plain = figures("backbone").T
    assert (learner > 0.95).all()
    assert plain[0] < learner[0] - 0.03


def test_adapters() -> None:
    pytest.importorskip("transformers", reason="the extra peft is not installed")
    pytest.importorskip("peft", reason="the extra peft is not installed")
    learner, loaded = figures("adapters").T
    assert (learner > 0.88).all()
    assert (learner == loaded).all()
