"""A network through ONNX: the same scores for batches of any size, or a word on why not."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from hypermnesia.errors import TargetError
from hypermnesia.onnx_files import INPUTS, OUTPUTS, to_onnx


def test_batches_of_any_size() -> None:
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)
    ).eval()
    level = logging.getLogger("torch.onnx").level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        content = to_onnx(network, torch.zeros(2, 2, 3))
    assert logging.getLogger("torch.onnx").level == level
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for batch in (1, 2, 7):
        x = torch.randn(batch, 2, 3)
        (scores,) = session.run([OUTPUTS], {INPUTS: x.numpy()})
        assert np.allclose(scores, network(x).detach(), atol=1e-5)


class Branching(nn.Module):
    """Looks at values to know what to do, which no graph can say."""

    def forward(self, x):
        return x if float(x.sum()) > 0 else -x


def test_what_torch_cannot_write() -> None:
    with pytest.raises(TargetError, match="that torch can write as ONNX; got Branching"):
        to_onnx(Branching().eval(), torch.zeros(2, 3))


class Changing(nn.Module):
    """Another function at each call, as a layer is that torch writes wrongly."""

    calls = 0

    def forward(self, x):
        self.calls += 1
        return x * self.calls


def test_a_file_that_gives_other_values_is_not_given() -> None:
    with pytest.raises(TargetError, match="Changing, whose file gives other values"):
        to_onnx(Changing().eval(), torch.zeros(2, 3))
