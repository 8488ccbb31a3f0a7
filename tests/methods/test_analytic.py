"""Analytic classifiers: sums of tasks give what all data at once give, by slow definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.covariance import shrunk_covariance
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from hypermnesia.data.stream import each_once
from hypermnesia.data.types import Batch, Part
from hypermnesia.errors import DataError
from hypermnesia.methods import TaskSpec
from hypermnesia.methods.analytic import Analytic, CovarianceSettings, ProjectionSettings
from hypermnesia.methods.patches import PatchSettings, normalised_patches
from hypermnesia.seeding import Generators
from hypermnesia.testing import check_method
from problems import blobs, build, learn

NAMES = ("ncm", "slda", "ranpac", "patches")
IMAGE = (2, 9, 8)


def taught(name: str, order: tuple[int, ...] = (0, 1, 2), **settings: object) -> Analytic:
    """A method in the class scenario that has seen `blobs` in that order."""
    method = build(name, "class", **settings)
    for position, task in enumerate(order):
        learn(method, replace(blobs(task), task=position), 2)
    assert isinstance(method, Analytic)
    return method


def all_at_once(method: Analytic, tasks: int = 3) -> tuple[Tensor, Tensor]:
    """(n, D) float64 features of all tasks' samples, and (n,) classes."""
    parts = [blobs(task) for task in range(tasks)]
    features = torch.cat([method.features(part.x).double() for part in parts])
    return features, torch.cat([part.y + 2 * part.task for part in parts])


@pytest.mark.parametrize(
    ("name", "size", "strength"),
    [
        ("ranpac", ProjectionSettings(20), 10.0),
        ("ranpac", ProjectionSettings(20, 1.0, "products"), 1.0),
        ("patches", PatchSettings(10), 0.1),
    ],
)
def test_ridge_of_sums_is_ridge_of_all_data(name: str, size: object, strength: float) -> None:
    method = taught(name, **{"projection" if name == "ranpac" else "patches": size})
    f, y = all_at_once(method)
    targets = torch.nn.functional.one_hot(y, 6).double()
    # Least squares of the features with sqrt(λ) I below them, and targets with zeros.
    below = strength**0.5 * torch.eye(f.shape[1], dtype=torch.float64)
    zeros = torch.zeros(f.shape[1], 6, dtype=torch.float64)
    wanted = torch.linalg.lstsq(torch.cat([f, below]), torch.cat([targets, zeros])).solution.T
    weight, bias = method.solved()
    assert torch.allclose(weight, wanted, rtol=0, atol=1e-10)
    assert not bias.any()


def test_products_are_a_random_polynomial_of_second_degree() -> None:
    method = taught("ranpac", projection=ProjectionSettings(7, 0.1, "products"))
    x = blobs(0).x.flatten(1)
    drawn = method.features[1].drawn
    found = method.features(blobs(0).x)
    assert found.shape == (len(x), 1 + x.shape[1] + 7)
    for row, f in zip(x[:5], found, strict=False):
        pairs = [float((a @ row) * (b @ row)) for a, b in zip(*drawn, strict=True)]
        wanted = torch.tensor([1.0, *row.tolist(), *pairs]).double()
        assert torch.allclose(f, wanted, rtol=1e-5, atol=1e-5)
    again = build("ranpac", "class", projection=ProjectionSettings(7, 0.1, "products"))
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.predict(blobs(1).x).logits, method.predict(blobs(1).x).logits)


def test_covariance_and_discriminants_are_those_of_numpy_and_scikit_learn() -> None:
    method = taught("slda", covariance=CovarianceSettings(0.1))
    f, y = all_at_once(method)
    centred = np.concatenate([(f[y == c] - f[y == c].mean(0)).numpy() for c in range(6)])
    wanted = np.cov(centred, rowvar=False, bias=True)
    np.testing.assert_allclose(method.covariance.numpy(), wanted, rtol=0, atol=1e-10)
    weight, bias = method.solved()
    means = np.stack([f[y == c].mean(0).numpy() for c in range(6)])
    by_hand = means @ np.linalg.inv(shrunk_covariance(wanted, 0.1))
    np.testing.assert_allclose(weight.numpy(), by_hand, rtol=0, atol=1e-8)
    other = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(f.numpy(), y.numpy())
    ours = (f @ weight.T + bias).numpy()
    # Classes are balanced: their log prior shifts all logits alike.
    theirs = other.decision_function(f.numpy()) - np.log(1 / 6)
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-8)


def test_the_nearest_mean_answers() -> None:
    method = taught("ncm")
    f, y = all_at_once(method)
    means = torch.stack([f[y == c].mean(0) for c in range(6)])
    nearest = torch.cdist(f, means).argmin(dim=1)
    assert torch.equal(method.predict(f.float()).logits.argmax(dim=1), nearest)
    assert (nearest == y).double().mean() > 0.9


@pytest.mark.parametrize("name", ["ncm", "slda", "ranpac"])
def test_the_order_of_tasks_does_not_matter(name: str) -> None:
    one, other = taught(name), taught(name, (2, 0, 1))
    columns = torch.tensor([2, 3, 4, 5, 0, 1])  # where the other has the classes of the one
    for mine, theirs in zip(one.solved(), other.solved(), strict=True):
        assert torch.allclose(mine, theirs[columns], rtol=1e-10, atol=1e-10)


def test_the_order_of_later_tasks_does_not_matter_to_patches() -> None:
    one, other = taught("patches"), taught("patches", (0, 2, 1))
    columns = torch.tensor([0, 1, 4, 5, 2, 3])
    for mine, theirs in zip(one.solved(), other.solved(), strict=True):
        assert torch.allclose(mine, theirs[columns], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_the_domain_scenario_adds_the_classes_of_tasks(name: str) -> None:
    apart, shared = taught(name), build(name, "domain")
    for task in range(3):
        learn(shared, blobs(task), 2)
    assert torch.allclose(shared.sums, apart.sums.unflatten(0, (3, 2)).sum(dim=0))
    assert torch.equal(shared.products, apart.products)
    assert shared.counts.tolist() == [96, 96]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("ncm", 6 * (6 + 1)),
        ("slda", 6 * 7 // 2 + 6 * (6 + 1)),
        ("ranpac", 1000 * 1001 // 2 + 6 * (1000 + 1)),
        ("patches", 250 * 251 // 2 + 6 * (250 + 1) + 125 * (6 + 1)),
    ],
)
def test_numbers_kept_are_those_of_the_sums(name: str, kept: int) -> None:
    method = taught(name)
    assert method.kept == kept
    stored = [value for value in method.state_dict().values() if isinstance(value, Tensor)]
    filters = method.state_dict().get("filters") or []
    assert sum(value.numel() for value in [*stored, *filters] if value.numel()) in (
        kept,
        kept + 7**2,  # moments of patches, which are zero when the first task has ended
    )


def images(task: int) -> Part:
    generator = torch.Generator().manual_seed(task)
    x = torch.rand(40, *IMAGE, generator=generator)
    x[:20, 0, :, 3] += 1.0 + task  # a line
    return Part(x, (torch.arange(40) < 20).long(), task)


def learned_from_images(scenario: str = "class") -> Analytic:
    size = PatchSettings(5)
    method = build("patches", scenario, patches=size)
    for task in range(2):
        learn(method, images(task), 3)
    return method


def test_responses_of_patches_are_those_by_hand() -> None:
    method = learned_from_images()
    bank, x = method.bank, images(1).x[:3].double()
    filters, offsets = bank.filters.double(), bank.offsets.double()
    found = bank.double()(x)
    wanted = torch.zeros(3, 10, 2, 2, dtype=torch.float64)
    rows, columns = ((0, 2), (2, 4)), ((0, 2), (1, 3))  # quarters of 4 x 3 positions
    for n in range(3):
        responses = torch.zeros(10, 4, 3, dtype=torch.float64)
        for i in range(4):
            for j in range(3):
                patch = x[n, :, i : i + 6, j : j + 6].flatten()
                patch = (patch - patch.mean()) / (patch.var(correction=0) + 10 / 255**2).sqrt()
                r = filters @ patch - offsets
                responses[:, i, j] = torch.cat([r - 0.3, -r - 0.3]).clamp(min=0)
        for a, (top, bottom) in enumerate(rows):
            for b, (left, right) in enumerate(columns):
                wanted[n, :, a, b] = responses[:, top:bottom, left:right].mean(dim=(1, 2))
    assert torch.allclose(found, wanted.flatten(1), atol=1e-10)


def test_patches_are_whitened_and_of_length_one() -> None:
    method = build("patches", patches=PatchSettings(5, whitening=1e-9))
    method.begin_task(TaskSpec(2, 1))
    batch = images(0).batch(torch.arange(40))
    method.update(batch)
    drawn = method.drawn.clone()
    method.end_task([batch])
    rows = normalised_patches(batch.x.double(), (6, 6)).flatten(0, 1)
    filters, offsets = method.bank.filters.double(), method.bank.offsets.double()
    covariance = torch.cov(rows.T, correction=0)
    # fᵀ C f = dᵀ d, where the covariance C has full rank but for the mean, which is taken out.
    assert torch.allclose(
        ((filters @ covariance) * filters).sum(1), torch.ones(5).double(), atol=1e-3
    )
    assert torch.allclose(filters @ rows.mean(0), offsets, atol=1e-4)
    assert all((rows - each).abs().sum(1).min() < 1e-4 for each in drawn)


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
def test_images_are_learned(scenario: str) -> None:
    method = learned_from_images(scenario)
    batch = images(1).batch(torch.arange(40))
    prediction = method.predict(batch.x, 1 if scenario != "class" else None)
    answers = prediction.logits.argmax(dim=1)
    assert (answers == batch.y + (2 if scenario == "class" else 0)).double().mean() > 0.9


def test_weights_count_samples() -> None:
    part = blobs(0)
    batch = part.batch(torch.arange(64))
    weight = (torch.arange(64) < 10).float() * 2
    methods = [build("slda", "class") for _ in range(2)]
    for method, own in zip(methods, (replace(batch, weight=weight), None), strict=True):
        method.begin_task(TaskSpec(2, 1))
        first = part.batch(torch.arange(10))
        method.end_task([own] if own else [first, first])
    one, other = methods
    assert torch.allclose(one.products, other.products)
    assert torch.equal(one.counts, other.counts)


def test_a_class_without_samples_is_never_the_answer() -> None:
    method = build("ncm", "class")
    part = blobs(0)
    learn(method, Part(part.x - 100, torch.zeros(64, dtype=torch.int64), 0), 2)
    logits = method.predict(torch.zeros(5, 6)).logits
    assert logits.isfinite().all()
    assert (logits.argmax(dim=1) == 0).all()


def test_a_method_that_draws_nothing_must_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> None:
        check_method(lambda generators: build("ncm", generators=generators))

    monkeypatch.setattr("hypermnesia.methods.analytic.Analytic.deterministic", False)
    with pytest.raises(AssertionError, match="the seed matters, unless"):
        check()


REFUSED = {
    "ids": (torch.zeros(4, 6, dtype=torch.int64), "real numbers of the shape"),
    "another shape": (torch.zeros(4, 7), "real numbers of the shape"),
    "several tensors": ({"a": torch.zeros(4, 6)}, "one tensor"),
}


@pytest.mark.parametrize(("x", "rule"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("name", NAMES)
def test_other_inputs_are_refused(name: str, x: object, rule: str) -> None:
    method = build(name)
    learn(method, blobs(0), 2)
    y = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(DataError, match=rule) as found:
        method.update(Batch(x, y, y))
    assert "\n" not in str(found.value)


def test_patches_of_no_image_are_refused() -> None:
    method = build("patches")
    method.begin_task(TaskSpec(2, 1))
    y = torch.zeros(4, dtype=torch.int64)
    with pytest.raises(DataError, match="use ranpac"):
        method.update(Batch(torch.zeros(4, 3, 4), y, y))


def test_every_sample_counts_once_whatever_the_batches() -> None:
    part = blobs(0)
    found = []
    for size in (64, 7):
        method = build("ranpac", generators=Generators(0))
        method.begin_task(TaskSpec(2, 1))
        method.end_task(each_once([part], size))
        found.append(method.products)
    assert torch.allclose(*found, rtol=1e-5, atol=1e-3)  # features are float32
