"""Features of a frozen part of a model: computed once, kept on disk under a checksum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hypermnesia import ConfigError, ContinualLearner, RunError, frozen_features

RUN: list[int] = []
"""Rows that a `Prefix` has been run on."""


class Prefix(nn.Module):
    """What comes first in a network; it gives features, and their means."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(6, 8), nn.BatchNorm1d(8)

    def forward(self, x: Tensor, scale: Tensor | None = None) -> dict[str, Tensor]:
        """(batch, 8) and (batch,)."""
        RUN.append(len(x))
        x = x if scale is None else x * scale[:, None]
        found = self.norm(nn.functional.dropout(self.layer(x), 0.5, self.training))
        return {"x": found, "mean": found.mean(dim=1)}


@pytest.fixture
def prefix() -> Prefix:
    torch.manual_seed(0)
    RUN.clear()
    return Prefix()


def rows() -> int:
    """How many rows have been run since this was last asked."""
    found = sum(RUN)
    RUN.clear()
    return found


def test_features_are_run_once(prefix: Prefix, tmp_path: Path) -> None:
    x = torch.randn(50, 6)
    found = frozen_features(prefix, x, tmp_path / "new", batch_size=16)
    assert rows() == 50
    assert prefix.training  # it was run to evaluate all the same
    assert int(prefix.norm.num_batches_tracked) == 0
    with torch.no_grad():
        expected = prefix.eval()(x)
    rows()
    for again in (found, frozen_features(prefix, x.numpy(), tmp_path / "new")):
        for name, value in expected.items():
            assert torch.allclose(again[name], value, atol=1e-6)
    assert rows() == 0
    assert not found["x"].requires_grad


@pytest.mark.parametrize("change", ["parameter", "buffer", "input", "damage"])
def test_what_has_changed_is_run_again(prefix: Prefix, tmp_path: Path, change: str) -> None:
    x = torch.randn(9, 6)
    before = frozen_features(prefix, x, tmp_path)["x"]
    if change == "damage":
        path = next(tmp_path.glob("*/tensors.safetensors"))
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    else:
        changed = {"parameter": prefix.layer.bias.data, "buffer": prefix.norm.running_mean}
        changed.get(change, x)[0] += 1
    rows()
    found = frozen_features(prefix, x, tmp_path)["x"]
    assert rows() == 9
    assert torch.equal(found, before) == (change == "damage")
    assert torch.equal(frozen_features(prefix, x, tmp_path)["x"], found)
    assert rows() == 0


def test_several_inputs_and_a_learner_of_what_comes_behind(prefix: Prefix, tmp_path: Path) -> None:
    inputs = {"x": torch.randn(40, 6), "scale": torch.ones(40)}
    found = frozen_features(prefix, inputs, tmp_path)["x"]
    assert torch.allclose(found, frozen_features(prefix, inputs["x"])["x"])
    rows()
    learner = ContinualLearner(nn.Linear(8, 2), None, iterations=5, validation=0)
    learner.fit(found, found[:, 0] > 0, task="sign")
    assert rows() == 0


def test_what_cannot_be_features(prefix: Prefix, tmp_path: Path) -> None:
    x = torch.randn(9, 6)
    wrong: list[tuple[nn.Module, Any]] = [(nn.Flatten(0), {}), (prefix, {"batch_size": 0})]
    for module, more in wrong:
        with pytest.raises(ConfigError):
            frozen_features(module, x, **more)
    (tmp_path / "file").touch()
    with pytest.raises(RunError):
        frozen_features(prefix, x, tmp_path / "file")
