"""`patch-sum`: scores are those of the definition, and directions those of numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hypermnesia.data.types import Part
from hypermnesia.errors import DataError
from hypermnesia.methods.base import predictions
from hypermnesia.methods.patches import Patches, PatchSettings
from hypermnesia.methods.posterior import PatchPosterior, PosteriorSettings, leading
from problems import blobs, build, learn


def images(task: int) -> Part:
    generator = torch.Generator().manual_seed(task)
    x = torch.rand(60, 1, 8, 8, generator=generator)
    x[:30, 0, :, 3] += 1.0 + task  # a line
    return Part(x, (torch.arange(60) < 30).long(), task)


def taught() -> PatchPosterior:
    settings = PosteriorSettings(rank=3, ridge=7.0, density=5.0)
    method = build("patch-sum", patches=PatchSettings(3, power=0.5), posterior=settings)
    for task in range(2):
        learn(method, images(task), 3)
    assert isinstance(method, PatchPosterior)
    return method


def test_leading_directions_are_those_of_numpy() -> None:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(200, 40, generator=generator, dtype=torch.float64)
    matrix = (rows * torch.arange(1, 41)).T @ rows
    matrix = (matrix + matrix.T) / 2
    values, vectors = leading(matrix, 4)
    wanted, by_numpy = np.linalg.eigh(matrix.numpy())
    np.testing.assert_allclose(values, wanted[::-1][:4], rtol=1e-6)
    same = np.abs((vectors.numpy() * by_numpy.T[::-1][:4]).sum(axis=1))
    np.testing.assert_allclose(same, 1.0, atol=1e-4)


def test_scores_are_those_of_the_definition() -> None:
    method, x = taught(), images(1).x[:5]
    found = method.predict(x, scenario="class").logits
    f = method.features(x)
    entries, linear = f.shape[1], method.solved()[0]
    for c in range(4):
        part = images(c // 2)
        own = method.features(part.x[part.y == c % 2])
        covariance = torch.from_numpy(np.cov(own.T.numpy(), bias=True))
        values, vectors = torch.linalg.eigh(covariance)
        rest = values[:-3].mean()
        above = vectors[:, -3:] * (values[-3:] - rest) @ vectors[:, -3:].T
        around = above + rest * torch.eye(entries, dtype=torch.float64)
        density = torch.distributions.MultivariateNormal(own.mean(0), around).log_prob(f)
        shift = 0.5 * entries * np.log(2 * np.pi)  # the same for all classes
        wanted = 7.0 * f @ linear[c] + 5.0 / entries * (density + shift)
        torch.testing.assert_close(found[:, c], wanted, rtol=1e-4, atol=1e-4)


def test_one_training_answers_in_every_scenario() -> None:
    method, part = taught(), images(1)
    task = method.predict(part.x, 1, "task").logits
    domain = method.predict(part.x, scenario="domain").logits
    every = method.predict(part.x, scenario="class")
    torch.testing.assert_close(task, every.logits[:, 2:])
    torch.testing.assert_close(domain, every.logits.unflatten(1, (2, 2)).logsumexp(dim=1))
    assert torch.equal(every.tasks, every.logits.argmax(dim=1) // 2)
    assert (every.logits.argmax(dim=1) == part.y + 2).double().mean() > 0.9


def test_a_class_goes_on_from_its_gaussian() -> None:
    """With all directions kept, two halves of its samples give what all at once give."""
    settings = PosteriorSettings(rank=1000)
    method = build("patch-sum", patches=PatchSettings(2), posterior=settings)
    part = images(0)
    learn(method, part, 3)
    assert isinstance(method, PatchPosterior)
    at_once, bank = method._products_of(1), method.bank
    method._begin((1, 8, 8))
    method._set_bank(bank.filters, bank.offsets)
    for rows in (slice(None, None, 2), slice(1, None, 2)):
        own = Part(part.x[rows], part.y[rows], 0)
        method.end_task([own.batch(torch.arange(len(own)))])
    torch.testing.assert_close(method._products_of(1), at_once, rtol=1e-5, atol=1e-5)


def test_sums_of_moved_images_are_those_of_five_data_sets() -> None:
    method = build("patches", patches=PatchSettings(3, shift=1))
    learn(method, images(0), 3)
    padded = torch.nn.functional.pad(images(0).x, (1, 1, 1, 1))
    places = ((1, 1), (2, 1), (0, 1), (1, 2), (1, 0))
    views = torch.cat([padded[:, :, t : t + 8, s : s + 8] for t, s in places])
    f, y = method.features(views), images(0).y.repeat(5)
    torch.testing.assert_close(method.products, f.T @ f, rtol=1e-6, atol=1e-6)
    wanted = torch.stack([f[y == c].sum(dim=0) for c in range(2)])
    torch.testing.assert_close(method.sums, wanted, rtol=1e-6, atol=1e-6)
    assert method.counts.tolist() == [150, 150]


@pytest.mark.parametrize(
    "settings",
    [
        {"patches": PatchSettings(3, shift=8)},
        {"posterior": PosteriorSettings(views=8)},
    ],
)
def test_images_move_by_less_than_their_size(settings) -> None:
    method = build("patch-sum", **settings)
    with pytest.raises(DataError, match=r"by less than their size; got 8 pixels of"):
        learn(method, images(0), 3)


def test_numbers_kept_are_those_of_the_state() -> None:
    method = taught()
    entries = method.features(images(0).x[:1]).shape[1]
    sums = entries * (entries + 1) // 2 + 4 * (entries + 1)
    gaussians = 4 * (3 * entries + 3 + 1)
    assert method.kept == sums + 3 * (36 + 1) + gaussians
    assert method.kept_bytes == 8 * (sums + 4 * 4) + 4 * (3 * 37 + 4 * 3 * entries)


def test_random_features_and_views() -> None:
    settings = PosteriorSettings(width=30, views=1, rank=3)
    shown = {"patches": PatchSettings(3, power=0.5), "posterior": settings}
    method, other = (build("patch-sum", **shown) for _ in "ab")
    for task in range(2):
        learn(method, images(task), 3)
    assert isinstance(method, PatchPosterior)
    x = images(1).x[:5]
    f = torch.stack(method.bank.moved(x, 1)).mean(dim=0)
    raised = ((f - method.random.centre).float() @ method.random.matrix.T).relu().double()
    assert raised.shape == (5, 30)
    linear, own = method.solved()[0], method._network(slice(None))[1]
    wanted = own(f)
    torch.testing.assert_close(method.predict(x, scenario="class").logits, wanted)
    density = wanted - settings.ridge * raised @ linear.T
    own.settings = PosteriorSettings(ridge=0.0)
    torch.testing.assert_close(own(f), density)
    other.load_state_dict(method.state_dict())
    assert torch.equal(other.predict(x, 1).logits, method.predict(x, 1).logits)
    entries = f.shape[1]
    assert method.firsts.shape == (4, entries)
    assert method.kept == 30 * 31 // 2 + 4 * 31 + 3 * 37 + 4 * (3 * entries + 4) + 5 * entries


def test_mirror_images_are_answered_alike_and_learned_too() -> None:
    """The sums are those of the images and of their mirror images, without the setting."""
    turned = replace(images(0), x=images(0).x.flip(3))
    bank = PatchSettings(3, mirror=True)
    method = build("patches", "class", patches=bank)
    learn(method, images(0), 3)
    assert isinstance(method, Patches)
    assert method.bank is not None
    wanted = sum(f.T @ f for f in (method.bank.of(images(0).x), method.bank.of(turned.x)))
    torch.testing.assert_close(method.products, wanted)
    torch.testing.assert_close(method.predict(images(0).x).logits, method.predict(turned.x).logits)


def test_without_density_no_gaussians_are_kept() -> None:
    settings = PosteriorSettings(ridge=1.0, density=0.0)
    method = build("patch-sum", patches=PatchSettings(3), posterior=settings)
    plain = build("patches", "class", patches=PatchSettings(3))
    for each in (method, plain):
        learn(each, images(0), 3)
    found = method.predict(images(1).x, scenario="class").logits
    torch.testing.assert_close(found, plain.predict(images(1).x).logits)
    assert method.kept == plain.kept + 2  # a variance of each class, which is 1


@pytest.mark.parametrize("name", ["patch-sum", "gen-classifier"])
def test_scenarios_share_the_scores_of_classes(name: str) -> None:
    method = build(name)
    for task in range(2):
        learn(method, blobs(task), 3)
    x = blobs(1).x
    found = predictions(method, x, 1, ("task", "domain", "class"))
    for scenario, shared in found.items():
        alone = method.predict(x, 1 if scenario == "task" else None, scenario)
        torch.testing.assert_close(shared.logits, alone.logits)
        assert (shared.tasks is None) == (alone.tasks is None)
        assert shared.tasks is None or torch.equal(shared.tasks, alone.tasks)
