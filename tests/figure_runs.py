"""Short real runs of methods of every kind, shared by the tests of what runs leave to look at."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hypermnesia.cli import main
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.report.canvas import Drawn
from hypermnesia.report.learned import figures_and_missing

SHORT = ["--tasks", "3", "--set", "train.iterations=8", "--set", "train.batch_size=32"]
METHODS = ["hnet-r", "hnet-tir", "hnet-lik", "hnet-ent", "dgr", "finetune"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Finished runs of `METHODS`, by name of the method; hnet-tir has two seeds."""
    out = tmp_path_factory.mktemp("runs")
    command = ["run", "split-digits", "--out", str(out), *SHORT]
    assert main([*command, "--method", ",".join(METHODS)]) == 0
    assert main([*command, "--method", "hnet-tir", "--seeds", "1"]) == 0
    return {name: next(out.glob(f"*_{name}_*")) for name in METHODS}


@cache
def drawn_of(path: Path, seed: int | None = None) -> dict[str, Drawn]:
    """The figures of a run by name, drawn once."""
    drawn, _ = figures_and_missing(finished_seed(path, seed))
    return {each.name: each for each in drawn}


def cells(drawn: Drawn) -> np.ndarray:
    """The values of a matrix that was drawn."""
    return np.asarray(drawn.figure.axes[0].images[0].get_array())


_OF_CLASSIFIERS = {"task-confusion-domain-class", "embedding-transfer", "embeddings-networks"}
_OF_CLASSIFIERS |= {"reliability-class", "rejection-class"}
_OF_DECODERS = {"embeddings-autoencoders", "memory-samples"}
KINDS = {
    "hnet-r": _OF_DECODERS,
    "hnet-tir": _OF_CLASSIFIERS | _OF_DECODERS,
    "hnet-lik": _OF_CLASSIFIERS | _OF_DECODERS,
    "hnet-ent": _OF_CLASSIFIERS,
    "dgr": {"memory-samples"},
}
"""Names of the figures that a method's run has."""
