"""Networks are kept between calls, and a learner is frozen, or written as one ONNX file."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from learners import QUICK, clouds, held, learner, mlp, same, words
from torch import nn

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError, RunError
from hypermnesia.learner.frozen import FrozenLearner
from hypermnesia.learner.serving import Served

# Fits this short leave old tasks where they may.
pytestmark = pytest.mark.filterwarnings("ignore:learning .* changed the weights")


def linear(task: int) -> nn.Module:
    """A network of 40 bytes whose first weight is the task."""
    return nn.Linear(9, 1, bias=True).requires_grad_(requires_grad=False).double().float()


def test_networks_are_kept_within_a_budget() -> None:
    made: list[int] = []

    def make(task: int) -> nn.Module:
        made.append(task)
        return linear(task)

    served = Served(make, torch.device("cpu"), budget=100)
    first = served[0]
    assert served[0] is first
    assert [served[1], served[0]][1] is first
    served[2]  # drops 1, asked for before 0
    assert served[0] is first
    assert served.bytes == 80
    served[1]
    assert made == [0, 1, 2, 1]
    served.drop()
    assert served.bytes == 0
    small = Served(make, torch.device("cpu"), budget=1)
    assert small[0] is small[0]


def test_a_network_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = learner(None, iterations=5)
    known, exported = made._learned, []
    whole = known.network
    monkeypatch.setattr(known._served, "_make", lambda t: exported.append(t) or whole(t))
    x = clouds(0)[0]
    before = [made.predict(x, "a") for _ in range(3)]
    assert same(before[:1], before[1:2])
    assert exported == [0]
    made.export("a").requires_grad_()[0].weight.data.zero_()  # what is given away is a copy
    assert np.array_equal(made.predict(x, "a"), before[0])


def test_a_fit_drops_what_was_kept() -> None:
    made = learner(None)
    x, y = clouds(0)
    before = made.predict_proba(x, "a")
    made.fit(x, words(1 - y), task="a")
    assert not np.array_equal(made.predict_proba(x, "a"), before)
    assert made.score(x, words(1 - y), task="a") > 0.9


@pytest.mark.parametrize("infer_task", [None, "entropy", "likelihood"])
def test_a_frozen_learner_stays_as_it_was(infer_task: str | None) -> None:
    made = learner(infer_task, iterations=20)
    before, frozen = held(made), made.freeze()
    made.fit(*clouds(2), task="c").remove("a")
    assert isinstance(frozen, FrozenLearner)
    assert frozen.tasks == ["a", "b"]
    assert same([*map(np.asarray, _asked(frozen, infer_task))], before)
    for name in ("fit", "remove", "save"):
        assert not hasattr(frozen, name)
    again = pickle.loads(pickle.dumps(frozen))  # noqa: S301
    assert same(_asked(again, infer_task), before)


def _asked(made: FrozenLearner, infer_task: str | None) -> list[np.ndarray]:
    x = np.concatenate([clouds(task)[0] for task in range(3)])
    found = [made.predict_proba(x, task) for task in made.tasks]
    return found + ([*made.predict_task(x), made.predict_proba(x)] if infer_task else [])


def test_threads_ask_a_frozen_learner() -> None:
    frozen = learner("entropy", iterations=20).freeze()
    x = clouds(0)[0]
    asks = [None, "a", "b"] * 8
    wanted = {task: frozen.predict_proba(x, task) for task in (None, "a", "b")}
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda task: frozen.predict_proba(x, task), asks))
    assert all(np.array_equal(a, wanted[task]) for a, task in zip(found, asks, strict=True))


class File:
    """A learner as ONNX Runtime reads it."""

    def __init__(self, made: ContinualLearner, path: Path, x: np.ndarray) -> None:
        runtime = pytest.importorskip("onnxruntime")
        made.export_onnx(path, x)
        self.session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
        about = self.session.get_modelmeta().custom_metadata_map
        self.tasks, self.classes = (json.loads(about[name]) for name in ("tasks", "classes"))

    def __call__(self, x: np.ndarray, task: int = -1) -> dict[str, np.ndarray]:
        given = {"inputs": x, "task": np.full(len(x), task)}
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(None, given), strict=True))


@pytest.mark.parametrize("infer_task", [None, "entropy", "auto"])
def test_one_file_answers_as_the_learner(infer_task: str | None, tmp_path: Path) -> None:
    made = learner(infer_task, tasks=3)
    x = np.concatenate([clouds(task)[0] for task in range(3)])
    file = File(made, tmp_path / "learner.onnx", x)
    assert file.tasks == made.tasks
    assert file.classes == made.classes().tolist()
    for number, name in [*enumerate(made.tasks), *([(-1, None)] if infer_task else [])]:
        for some in (x, x[:1]):
            found = file(some, number)
            labels = made.classes()[found["labels"]]
            assert np.array_equal(labels, made.predict(some, name))
            if name is None:
                names = np.array(made.tasks)[found["tasks"]]
                assert np.array_equal(names, made.predict_task(some).tasks)
                proba = made.predict_proba(some)
                assert np.allclose(found["probabilities"], proba, atol=1e-5)
            else:
                assert set(found["tasks"]) == {number}
    if infer_task is None:
        assert set(file(x)["labels"]) == {-1}
    with pytest.raises(RunError, match="nothing is overwritten"):
        made.export_onnx(tmp_path / "learner.onnx", x)
    made.export_onnx(tmp_path / "learner.onnx", x, overwrite=True)


class Backboned(nn.Module):
    """A frozen layer, and one that each task has for itself."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.body, self.head = nn.Conv2d(1, 4, 5), nn.Linear(4, 2)
        self.body.requires_grad_(requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).relu().flatten(1))


@pytest.mark.parametrize(
    ("settings", "bytes_"),
    [({"infer_task": "filters"}, True), ({"features": "body"}, False)],
)
def test_images_in_one_file(settings: dict, bytes_: bool, tmp_path: Path) -> None:
    made, seen = ContinualLearner(Backboned(), **QUICK, **settings), []
    for task in range(2):
        x, y = clouds(task, inputs=25)
        x = x.reshape(-1, 1, 5, 5)
        x = (128 + 10 * x).clip(0, 255).astype(np.uint8) if bytes_ else x
        made.fit(x, words(y, task), task=task)
        seen.append(x)
    x = np.concatenate(seen)
    file = File(made, tmp_path / "images.onnx", x)
    found = file((x / 255).astype(np.float32) if bytes_ else x)
    assert np.array_equal(made.classes()[found["labels"]], made.predict(x))
    assert np.allclose(found["probabilities"], made.predict_proba(x), atol=1e-5)


def test_values_in_one_file(tmp_path: Path) -> None:
    made = ContinualLearner(mlp(), None, **QUICK)
    for task in range(2):
        x, _ = clouds(task)
        made.fit(x, 100.0 * task + x[:, :2], task=task)
    file = File(made, tmp_path / "values.onnx", x)
    for task in range(2):
        assert np.allclose(file(x, task)["values"], made.predict(x, task), rtol=1e-4)


def test_what_one_file_cannot_hold(tmp_path: Path) -> None:
    x = clouds(0)[0]
    for made, told in (
        (learner("likelihood", iterations=3), "got TaskLikelihoods"),
        (learner("entropy", method="ewc", iterations=3), "got method='ewc'"),
    ):
        with pytest.raises(ConfigError, match=told):
            made.export_onnx(tmp_path / "none.onnx", x)
    assert not list(tmp_path.iterdir())
