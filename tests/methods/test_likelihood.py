"""`hnet-lik`: bounds of all tasks at once against one by one, and what they are good for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hypermnesia.errors import ConfigError
from hypermnesia.evidence.likelihood import LikelihoodSettings
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.methods.base import TaskSpec
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.testing import check_method
from hypermnesia.vae import BoundSettings, bound, draw_noise, vae_loss
from problems import SMALL_VAE, blobs, build, learn

A_CLASS = LikelihoodSettings("class")
DIRECT = LikelihoodSettings("class", "likelihood")


def trained(iterations: int = 5, tasks: int = 3, **settings: object) -> HypernetMethod:
    method = build("hnet-lik", bound=BoundSettings(**settings))
    for task in range(tasks):
        learn(method, blobs(task), iterations)
    return method


def trained_by_class(
    iterations: int = 5,
    heads: tuple[int, ...] = (2, 3, 2),
    likelihood: LikelihoodSettings = A_CLASS,
) -> HypernetMethod:
    method = build("hnet-lik", likelihood=likelihood)
    for task, classes in enumerate(heads):
        learn(method, blobs(task, classes), iterations, classes)
    return method


def one_by_one(method: HypernetMethod, x: Tensor) -> Tensor:
    """(autoencoders, batch): every sample under every autoencoder on its own."""
    part = method.evidence
    noise, likelihood = part._noise, part.sampler.vae.settings.likelihood
    bounds = torch.empty(part.memory.tasks, len(x))
    for task in range(part.memory.tasks):
        for row, sample in enumerate(x):
            output = part.memory.run(task, sample[None], noise, training=False)
            bounds[task, row] = bound(sample[None], noise, output, likelihood, part.bound)
    return bounds.detach()


@pytest.mark.parametrize("kind", ["elbo", "importance"])
def test_bounds_at_once_are_those_one_by_one(kind: str) -> None:
    method = trained(kind=kind, samples=3, divergence=2.0 if kind == "elbo" else 1.0)
    x = torch.cat([blobs(task).x[:5] for task in range(3)])
    expected = one_by_one(method, x)
    assert torch.allclose(method.evidence.bounds(x), expected, rtol=1e-4)
    likelihoods = method.evidence  # then some tasks and some samples at a time
    likelihoods.autoencoders = AllTasks(likelihoods.memory, 2000)
    assert torch.allclose(method.evidence.bounds(x), expected, rtol=1e-4)
    assert method.predict(x, scenario="domain").tasks.tolist() == expected.argmax(0).tolist()


def test_answers_do_not_depend_on_the_rest_of_the_batch() -> None:
    method, x = trained(samples=2), blobs(1).x
    whole = method.predict(x, scenario="class")
    again = method.predict(x.flip(0), scenario="class")
    assert torch.allclose(again.logits.flip(0), whole.logits, atol=1e-6)
    assert torch.equal(again.tasks.flip(0), whole.tasks)


def test_it_knows_the_tasks_of_what_it_learned() -> None:
    method = trained(iterations=150)
    for task in range(3):
        part = blobs(task)
        assert (method.predict(part.x, scenario="class").tasks == task).float().mean() > 0.9


def test_compression_is_all_that_is_kept_over_a_classifier() -> None:
    method = trained(iterations=1, tasks=2)
    kept = [
        sum(p.numel() for p in (*memory.hypernet.parameters(), *memory.embeddings))
        for memory in (method.memory, method.evidence.memory)
    ]
    assert method.compression() == sum(kept) / method.memory.layouts[0].total


def test_the_autoencoders_shift_nothing_of_the_classifiers() -> None:
    """Who trains `hnet` and `hnet-lik` by one seed gets the same classifiers."""
    plain, method = build("hnet"), build("hnet-lik")
    for task in range(2):
        learn(plain, blobs(task), 5)
        learn(method, blobs(task), 5)
    x = blobs(0).x
    assert torch.equal(plain.predict(x, 0).logits, method.predict(x, 0).logits)


@pytest.mark.parametrize("likelihood", [A_CLASS, DIRECT])
def test_with_an_autoencoder_a_class_it_keeps_the_contract(likelihood: LikelihoodSettings) -> None:
    check_method(lambda own: build("hnet-lik", generators=own, likelihood=likelihood))


def test_a_task_is_as_likely_as_its_classes_on_average() -> None:
    """p(x | class) of 1 and 3 make 2, one class of its own 2.5; where the first is 5: 4."""
    part = build("hnet-lik", likelihood=A_CLASS).evidence
    part.begin_task(TaskSpec(2, 1))
    part.begin_task(TaskSpec(1, 1))
    by_class = torch.tensor([[[1.0, 3.0], [5.0, 3.0]], [[2.5, 0.0], [2.5, 0.0]]]).log()
    assert torch.allclose(part.task_bounds(by_class).exp(), torch.tensor([[2.0, 4.0], [2.5, 2.5]]))


def test_bounds_of_classes_are_those_one_by_one() -> None:
    method = trained_by_class()
    x = torch.cat([blobs(task, 3).x[:5] for task in range(3)])
    expected = one_by_one(method, x)
    assert len(expected) == 7
    by_class = method.evidence.class_bounds(x)
    assert torch.allclose(by_class[1].T, expected[2:5], rtol=1e-4)
    assert by_class[0, :, 2].eq(-torch.inf).all()
    tasks = torch.stack([b.exp().mean(0).log() for b in expected.double().split([2, 3, 2])])
    assert method.predict(x, scenario="class").tasks.tolist() == tasks.argmax(0).tolist()


@pytest.mark.parametrize("y", [[0, 1, 1, 0, 1], [1, 1, 1, 1, 1]])
def test_each_sample_is_learned_by_its_class(y: list[int]) -> None:
    """The loss is the mean of every sample's own under its class's autoencoder alone."""
    part, x = trained_by_class(heads=(2, 2)).evidence, blobs(1).x[:5]
    part.continue_task(1, TaskSpec(2, 1))
    latent = part.sampler.vae.settings.latent
    noise = draw_noise(1, 5, latent, torch.Generator().manual_seed(1))
    alone = []
    for row, of in enumerate(y):
        own = slice(row, row + 1)
        output = part.memory.run(2 + of, x[own], noise[:, own], training=True)
        alone.append(vae_loss(x[own], output, part.sampler.vae.settings.likelihood))
    together = part.sampler.loss(x, noise, torch.tensor(y), training=True)
    assert torch.allclose(together, torch.stack(alone).mean(), rtol=1e-5)


def test_the_likelihood_answers_with_the_likeliest_class() -> None:
    method = trained_by_class(150, likelihood=DIRECT)
    right = []
    for task, classes in enumerate((2, 3, 2)):
        part = blobs(task, classes)
        prediction = method.predict(part.x, scenario="class")
        expected = one_by_one(method, part.x).argmax(dim=0)
        sure = expected == prediction.logits.argmax(dim=1)
        assert sure.float().mean() > 0.98  # a task is its classes' mean, not its likeliest
        offset = (0, 2, 5)[task]
        right.append((prediction.logits.argmax(dim=1) == part.y + offset).float().mean())
    assert min(right) > 0.9


def test_earlier_classes_are_held_and_a_tasks_own_learn_together() -> None:
    moved = []
    for beta in (0.0, 1.0):
        regularizer = RegularizerSettings(beta=beta)
        vae = replace(SMALL_VAE, regularizer=regularizer)
        method = build("hnet-lik", likelihood=A_CLASS, vae=vae)
        learn(method, blobs(0), 60)
        memory = method.evidence.memory
        embeddings = [e.detach().clone() for e in memory.embeddings]
        weights = [memory.weights(0).detach(), memory.weights(1).detach()]
        learn(method, blobs(1), 60)
        assert torch.equal(torch.stack(embeddings), torch.stack(list(memory.embeddings[:2])))
        assert not torch.equal(memory.embeddings[2], memory.embeddings[3])
        moved.append([float((memory.weights(n).detach() - weights[n]).norm()) for n in range(2)])
    assert max(moved[1]) < 0.5 * min(moved[0])


def test_samples_of_a_task_are_of_its_classes_in_turn() -> None:
    method = trained_by_class(1, heads=(2, 3))
    drawn = method.evidence.sampler.samples([1], 7, Generators(0))[1]
    assert drawn.shape == (7, 6)
    part, generator = method.evidence, Generators(0)["samples/1"]
    latents = torch.randn(3, 3, part.sampler.vae.settings.latent, generator=generator)
    for row in range(7):
        of, nth = row % 3, row // 3
        vae = part.memory.export(2 + of)
        assert torch.allclose(drawn[row], vae.decoder(latents[of, nth]), atol=1e-5)


def test_classes_without_autoencoders_cannot_answer_by_them() -> None:
    with pytest.raises(ConfigError, match="needs an autoencoder for each class"):
        LikelihoodSettings(answer="likelihood")
