"""`hnet-lik`: bounds of all tasks at once against one by one, and what they are good for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hypermnesia.hypernet.all_tasks import AllTasks
from hypermnesia.methods.likelihood import HypernetLikelihood
from hypermnesia.vae import BoundSettings, bound
from problems import blobs, build, learn


def trained(iterations: int = 5, tasks: int = 3, **settings: object) -> HypernetLikelihood:
    method = build("hnet-lik", bound=BoundSettings(**settings))
    for task in range(tasks):
        learn(method, blobs(task), iterations)
    return method


def one_by_one(method: HypernetLikelihood, x: Tensor) -> Tensor:
    """(tasks, batch): every sample under every task's autoencoder on its own."""
    part = method.likelihoods
    noise, likelihood = part._noise, part.vae.settings.likelihood
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
    assert torch.allclose(method.likelihoods.bounds(x), expected, rtol=1e-4)
    likelihoods = method.likelihoods  # then some tasks and some samples at a time
    likelihoods.all_tasks = AllTasks(likelihoods.memory, 2000)
    assert torch.allclose(method.likelihoods.bounds(x), expected, rtol=1e-4)
    assert method.predict(x, scenario="domain").tasks.tolist() == expected.argmax(0).tolist()


def test_answers_do_not_depend_on_the_rest_of_the_batch() -> None:
    method, x = trained(samples=2), blobs(1).x
    whole = method.predict(x, scenario="class")
    again = method.predict(x.flip(0), scenario="class")
    assert torch.allclose(again.scores.flip(0), whole.scores, atol=1e-6)
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
        for memory in (method.memory, method.likelihoods.memory)
    ]
    assert method.compression() == sum(kept) / method.memory.layouts[0].total


def test_the_autoencoders_shift_nothing_of_the_classifiers() -> None:
    """Who trains `hnet` and `hnet-lik` by one seed gets the same classifiers."""
    plain, method = build("hnet"), build("hnet-lik")
    for task in range(2):
        learn(plain, blobs(task), 5)
        learn(method, blobs(task), 5)
    x = blobs(0).x
    assert torch.equal(plain.predict(x, 0).scores, method.predict(x, 0).scores)
