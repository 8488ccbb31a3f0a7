"""The same seed, machine and number of threads: the same bits, in processes of their own too."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_config import small

from hypermnesia.cli import main
from hypermnesia.compute import deterministic_kernels
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config import identity
from hypermnesia.experiments.run import Place, rehearse, run_all
from hypermnesia.training.observers import Observer

SHORT = ["--set", "train.iterations=3", "--set", "data.tasks=2"]
BITS = ("weights.safetensors", "accuracy_matrix_task.csv", "metrics.jsonl")


def bits(run: Path) -> dict[str, str]:
    files = [path for name in BITS for path in sorted(run.glob(f"seed-*/{name}"))]
    assert len(files) == len(BITS)
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_processes_side_by_side_give_the_same_bits(tmp_path: Path) -> None:
    """`compare` with two processes at a time, and `run` in one process."""
    what = ["split-digits", "--method", "hnet,ewc", "--scenario", "task", "--seeds", "0"]
    compare = ["compare", *what, "--jobs", "2", "--out", str(tmp_path / "two"), *SHORT]
    subprocess.run([sys.executable, "-m", "hypermnesia", *compare], check=True, capture_output=True)
    assert main(["run", *what, "--threads", "1", "--out", str(tmp_path), *SHORT]) == 0
    for run in ("split-digits_hnet_task", "split-digits_ewc_task"):
        assert bits(tmp_path / "two" / run) == bits(tmp_path / run)


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that chooses no workspace for cuBLAS."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is put back
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")


@pytest.mark.usefixtures("workspace")
def test_deterministic_kernels_are_used_within_and_no_longer() -> None:
    with deterministic_kernels(False):
        assert not torch.are_deterministic_algorithms_enabled()
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    with deterministic_kernels(True):
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    with pytest.raises(KeyError), deterministic_kernels(True):
        raise KeyError
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_workspace_that_the_user_chose_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with deterministic_kernels(True):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


class Asked(Observer):
    """Notes whether training runs on deterministic kernels."""

    def __init__(self) -> None:
        self.answers: set[bool] = set()

    def on_update(self, *_: object) -> None:
        self.answers.add(torch.are_deterministic_algorithms_enabled())


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize("wanted", [True, False])
def test_the_setting_reaches_the_training(tmp_path: Path, wanted: bool) -> None:
    config, asked = small(f"compute.deterministic={json.dumps(wanted)}", method="hnet"), Asked()
    run_all([config], Place(tmp_path), lambda config, seed: asked)
    assert asked.answers == {wanted}


def test_only_a_run_that_asks_for_it_is_another_run() -> None:
    plain = identity(small())
    assert identity(small("compute.deterministic=false")) == plain
    assert identity(small("compute.deterministic=true")) != plain


@pytest.mark.usefixtures("workspace")
def test_a_kernel_that_is_missing_is_told_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_one(*_: object) -> None:
        if torch.are_deterministic_algorithms_enabled():
            raise RuntimeError("put_ does not have a deterministic implementation")

    monkeypatch.setattr("hypermnesia.experiments.run._try", without_one)
    rehearse(small())
    with pytest.raises(ConfigError, match="does not have a deterministic implementation") as told:
        rehearse(small("compute.deterministic=true"))
    assert "compute.deterministic=false" in str(told.value)
