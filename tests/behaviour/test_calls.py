"""What surrounds a call, and types of models: the right values, or one line before training."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from hypermnesia import ContinualLearner
from hypermnesia.errors import ConfigError, HypermnesiaError, TargetError

QUICK = {"iterations": 12, "batch_size": 16, "lr": 0.01}
WAYS = ["entropy", "likelihood"]


def mlp() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2)
        return nn.Sequential(*layers)


def clouds(task: int, n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng, y = np.random.default_rng(task), np.arange(n) % 2
    centres = 2 * rng.standard_normal((2, 6))
    return (centres[y] + 0.3 * rng.standard_normal((n, 6))).astype(np.float32), y + 2 * task


def taught(model: nn.Module, way: str | None = "entropy", **settings: object) -> ContinualLearner:
    made = ContinualLearner(model, way, **{**QUICK, **settings})
    for task in range(2):
        made.fit(*clouds(task), task=task)
    return made


def asked(made: ContinualLearner) -> list[np.ndarray]:
    x = np.concatenate([clouds(task, 8)[0] for task in range(2)])
    exported = made.export(1)(torch.from_numpy(x)).detach().numpy()
    scores = np.array([made.score(*clouds(task), task=task) for task in range(2)])
    told = [made.predict_proba(x, 0), made.predict_proba(x), made.predict(x), scores, exported]
    return [*told, *made.predict_task(x)]


@cache
def plainly(way: str) -> ContinualLearner:
    return taught(mlp(), way)


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(map(np.array_equal, one, other))


@contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")  # where nothing can be computed
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def anomalies() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.autograd.detect_anomaly():
            yield


@contextmanager
def doubles() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


SURROUNDINGS = {
    "no_grad": torch.no_grad,
    "set_grad_enabled": partial(torch.set_grad_enabled, False),
    "autocast": partial(torch.autocast, "cpu", torch.bfloat16),
    "default device": default_device,
    "deterministic algorithms": deterministic,
    "anomaly detection": anomalies,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("surrounding", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_what_surrounds_a_call_changes_nothing(surrounding, way, tmp_path) -> None:
    model, right = mlp(), asked(plainly(way))
    with surrounding():
        made = taught(model, way)
        probabilities, scores = made.predict_proba(clouds(1)[0]), made.score(*clouds(1), task=1)
        made.save(tmp_path / "learner")
        loaded = ContinualLearner.load(tmp_path / "learner", model)
    assert same(asked(made), right)
    assert same(asked(loaded), right)
    assert np.array_equal(probabilities, made.predict_proba(clouds(1)[0]))
    assert scores == made.score(*clouds(1), task=1)


def test_inference_mode_is_for_questions() -> None:
    made, right = copy.deepcopy(plainly("entropy")), asked(plainly("entropy"))
    with torch.inference_mode():
        with pytest.raises(ConfigError, match=r"needs gradients.*; got a call within it; call it"):
            made.fit(*clouds(0), task=0)
        found, network = asked(made), made.export(0)
    assert same(found, right)
    network(torch.zeros(2, 6)).sum().backward()  # an exported module can be trained
    made.fit(*clouds(0), task=0)


def test_inputs_of_inference_mode_can_be_learned() -> None:
    with torch.inference_mode():
        x = torch.from_numpy(clouds(0)[0]) * 1
    made = ContinualLearner(mlp(), "entropy", **QUICK).fit(x, clouds(0)[1], task=0)
    plain = ContinualLearner(mlp(), "entropy", **QUICK).fit(*clouds(0), task=0)
    assert np.array_equal(made.predict_proba(x, 0), plain.predict_proba(*clouds(0)[:1], 0))


@pytest.mark.parametrize("way", WAYS)
def test_another_default_type_changes_no_answer(way) -> None:
    """What is learned stays of the type that it was learned in."""
    made, x = plainly(way), clouds(1)[0]
    for task in (1, None):
        right = made.predict_proba(x, task)
        with doubles():
            assert np.array_equal(made.predict_proba(x, task), right)
    with doubles():
        model = mlp()
        double = taught(model, way)
        right = double.predict_proba(x)
    assert right.dtype == np.float64
    assert np.array_equal(double.predict_proba(x.astype(np.float64)), right)


def test_a_default_type_for_which_the_model_is_none() -> None:
    for task in (0, 2):
        made = copy.deepcopy(plainly("entropy"))
        with (
            doubles(),
            pytest.raises(TargetError, match=r"must be torch.float64; got .*convert the model"),
        ):
            made.fit(*clouds(task), task=task)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_default_type_that_is_too_coarse(kind) -> None:
    torch.set_default_dtype(kind)
    try:
        with pytest.raises(ConfigError, match="must be float32 or float64; got torch"):
            taught(mlp())
    finally:
        torch.set_default_dtype(torch.float32)


class Fitting(Dataset):
    """Fits and asks a learner where its samples are read."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Tensor:
        return torch.from_numpy(taught(mlp()).predict_proba(clouds(0)[0]))


def test_a_fit_within_a_worker_of_a_data_loader() -> None:
    (found,) = DataLoader(Fitting(), num_workers=1)
    assert np.array_equal(found[0].numpy(), plainly("entropy").predict_proba(clouds(0)[0]))


class Casting(nn.Module):
    """Takes floats, whatever the type of its weights."""

    def __init__(self, kind: torch.dtype) -> None:
        super().__init__()
        self.layer, self.kind = nn.Linear(6, 2, dtype=kind), kind

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.to(self.kind)).float()


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.randn(6, 5, dtype=torch.complex64))
        self.out = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out((x.to(torch.complex64) @ self.filter).abs())


class Words(nn.Module):
    def __init__(self, kind: type[nn.Module], sparse: bool = True) -> None:
        super().__init__()
        self.embed, self.out = kind(20, 5, sparse=sparse), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        embedded = self.embed((3 * x.abs()).long().clamp(max=19))
        return self.out(embedded if embedded.ndim == 2 else embedded.mean(1))


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("method", ["hnet", "finetune", "separate", "si"])
def test_sparse_gradients_are_those_of_dense_ones(method, kind) -> None:
    found = []
    for sparse in (True, False):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = Words(kind, sparse)
        found.append(taught(model, None, method=method).predict_proba(clouds(1)[0], 1))
    assert np.array_equal(*found)


OTHER_TYPES = {
    "half": (lambda: mlp().half(), r"got '0.weight' of torch.float16; convert the model"),
    "bf16": (lambda: mlp().bfloat16(), r"got '0.weight' of torch.bfloat16; convert"),
    "double": (lambda: mlp().double(), r"must be torch.float32; got '0.weight' of torch.float64"),
    "half that casts": (lambda: Casting(torch.float16), r"'layer.weight' of torch.float16"),
    "double that casts": (lambda: Casting(torch.float64), r"'layer.weight' of torch.float64"),
    "complex": (Complex, r"'filter' of torch.complex64; .* a complex one is two real ones"),
    "meta": (lambda: mlp().to("meta"), r"must hold values; .*not on the meta device"),
}


@pytest.mark.parametrize("method", ["hnet", "finetune", "ewc", "si", "separate"])
@pytest.mark.parametrize(("model", "told"), OTHER_TYPES.values(), ids=OTHER_TYPES)
def test_models_of_another_type(model, told, method) -> None:
    with pytest.raises(TargetError, match=told) as found:
        taught(model(), None, method=method)
    assert isinstance(found.value, HypermnesiaError)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("generated", [["out.*"], ["*"]])
def test_learned_and_shared_or_made(generated) -> None:
    with pytest.raises(TargetError, match="a complex one is two real ones"):
        taught(Complex(), generated=generated)


def test_what_is_frozen_may_be_of_any_type() -> None:
    for model, frozen in ((Complex(), "filter"), (Words(nn.Embedding), "embed.weight")):
        model.get_parameter(frozen).requires_grad_(False)
        made = taught(model)
        exported = made.export(0).get_parameter(frozen)
        assert torch.equal(exported, model.get_parameter(frozen))
        assert made.score(*clouds(0), task=0) >= 0.5
