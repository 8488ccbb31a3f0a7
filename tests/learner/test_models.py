"""Models as people have them learn two tasks, are exported, and run in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from benchmarks.learner.models import Curve, Recurrent, ResNet18, TokenTransformer
from packaging.version import Version
from torch import Tensor, nn

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError, DataError, TargetError
from hypermnesia.onnx_files import INPUTS, to_onnx

Data = tuple[Tensor, Any]


def images(task: int) -> Data:
    """Dark images; in those of the second class one colour is bright, another for each task."""
    generator = torch.Generator().manual_seed(task)
    x, y = torch.rand(24, 3, 32, 32, generator=generator) / 2, torch.arange(24) % 2
    x[y == 1, task] += 0.5
    return x, np.array(["dark", "bright"])[y]


def tokens(task: int) -> Data:
    """Eight ids, among which a 0 or a 1 tells the class, the other way round for each task."""
    generator = torch.Generator().manual_seed(task)
    x, y = torch.randint(2, 12, (96, 8), generator=generator), torch.arange(96) % 2
    at = torch.randint(8, (96,), generator=generator)
    x[torch.arange(96), at] = torch.where(y == task, 0, 1)
    return x, y


def curve(task: int) -> Data:
    """Noisy points of two curves over intervals of their own, in units of their own."""
    x = torch.linspace(-3, -1, 60)[:, None] + 4 * task
    y = torch.stack([100 + 30 * x[:, 0], 5 * (x[:, 0] - 2) ** 2])[task]
    return x, y + 0.3 * torch.randn(60, generator=torch.Generator().manual_seed(task))


@dataclass(frozen=True)
class Case:
    """A model, the data of a task, and what suits them."""

    make: Callable[[], nn.Module]
    data: Callable[[int], Data]
    settings: dict[str, Any] = field(default_factory=dict)
    least: float = 0.95


def resnet() -> nn.Module:
    """With statistics that follow within the few updates of a test."""
    model = ResNet18()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.5
    return model


FEW = {"iterations": 16, "batch_size": 8, "beta": 1.0, "validation": 0, "infer_task": "entropy"}
IDS = {"iterations": 200, "batch_size": 32, "lr": 0.01, "infer_task": "entropy"}
CASES = {
    "resnet": Case(resnet, images, FEW),
    "transformer": Case(TokenTransformer, tokens, IDS),
    "lstm": Case(lambda: Recurrent(nn.LSTM), tokens, IDS),
    "gru": Case(lambda: Recurrent(nn.GRU), tokens, IDS),
    "regression": Case(Curve, curve, {"iterations": 600, "batch_size": 32, "lr": 0.01}, 0.9),
}


@pytest.fixture(scope="module", params=CASES.values(), ids=CASES)
def learned(request) -> tuple[ContinualLearner, list[Data], float]:
    """A learner of two tasks, their data, and the score that it should have."""
    case = request.param
    torch.manual_seed(0)
    made = ContinualLearner(case.make(), **case.settings)
    data = [case.data(task) for task in range(2)]
    for task, (x, y) in enumerate(data):
        made.fit(x, y, task=task)
    return made, data, case.least


def test_two_tasks_are_learned_and_told_apart(learned) -> None:
    made, data, least = learned
    for task, (x, y) in enumerate(data):
        assert made.score(x, y, task=task) >= least
        found = made.predict_task(x)
        assert found.tasks.shape == found.confidence.shape == (len(x),)
        assert set(found.tasks) <= {0, 1}
        assert len(made.predict(x)) == len(x)
        if made.settings.infer_task == "likelihood":
            assert (found.tasks == task).mean() > 0.95
            assert made.score(x, y) >= least


def test_exported_networks_and_onnx_give_the_same_scores(learned) -> None:
    made, data, _ = learned
    for task, (x, _) in enumerate(data):
        module = made.export(task)
        assert not module.training
        with torch.no_grad():
            scores = module(x)
        if made.settings.infer_task == "entropy":
            expected = made._learned.method.predict(x, task).logits
            assert np.allclose(made.predict_proba(x, task), scores.softmax(1), atol=1e-6)
        else:
            expected = torch.as_tensor(made.predict(x, task))[:, None]
        assert torch.allclose(scores, expected, rtol=0, atol=1e-6)
    try:
        content = to_onnx(module, x[:2])
    except TargetError as error:  # of recurrent layers, by the oldest versions
        if Version(torch.__version__) >= Version("2.13"):
            raise
        pytest.skip(str(error))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (through,) = session.run(None, {INPUTS: x.numpy()})
    assert np.allclose(through, scores, rtol=1e-4, atol=1e-4)


def test_a_resnet_of_torchvision_s_size() -> None:
    assert sum(p.numel() for p in ResNet18(10).parameters()) == 11_181_642


def test_ids_have_no_likelihood() -> None:
    made = ContinualLearner(TokenTransformer(), "likelihood")
    with pytest.raises(
        DataError, match=r"real numbers; got ids \(int64\); use infer_task='entropy'"
    ):
        made.fit(*tokens(0), task=0)


def test_values_have_no_entropy() -> None:
    with pytest.raises(ConfigError, match="use infer_task='likelihood'"):
        ContinualLearner(Curve(), "entropy").fit(*curve(0), task=0)


def test_sequences_of_any_length() -> None:
    made = ContinualLearner(Recurrent(nn.GRU), None, iterations=2)
    for task, length in enumerate((8, 5)):
        x, y = tokens(task)
        made.fit(x[:, :length], y, task=task)
        assert made.predict(x, task).shape == (96,)
