"""`gen-classifier`: the bound of each class by its definition, and labels shared by tasks."""

from __future__ import annotations

import math

import pytest
import torch

from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError
from hypermnesia.methods import TaskSpec
from hypermnesia.methods.generative import GenerativeClassifier
from hypermnesia.vae import BoundSettings, gaussian_log_likelihood
from problems import blobs, build, learn


def taught(samples: int = 20) -> GenerativeClassifier:
    method = build("gen-classifier", bound=BoundSettings(samples=samples))
    for task in range(2):
        learn(method, blobs(task), 60)
    assert isinstance(method, GenerativeClassifier)
    return method


def test_bounds_are_those_of_every_draw_by_hand() -> None:
    method, x = taught(), blobs(1).x[:3]
    found = method.predict(x, scenario="class").logits
    noise = method._noise  # of 20 draws, more than are in memory together
    for c, vae in enumerate(method.vaes):
        mean, log_variance = vae.encoder(x).chunk(2, dim=1)
        z = mean + (log_variance / 2).exp() * noise
        normal = torch.distributions.Normal
        prior = normal(0.0, 1.0).log_prob(z).sum(-1)
        posterior = normal(mean, (log_variance / 2).exp()).log_prob(z).sum(-1)
        weights = gaussian_log_likelihood(x, vae.decoder(z)) + prior - posterior
        wanted = weights.logsumexp(0) - math.log(20)
        torch.testing.assert_close(found[:, c], wanted.detach(), rtol=1e-4, atol=1e-4)


def test_one_training_answers_in_every_scenario() -> None:
    method, part = taught(), blobs(1)
    task, domain, every = (
        method.predict(part.x, 1 if name == "task" else None, name).logits
        for name in ("task", "domain", "class")
    )
    assert torch.equal(task, every[:, 2:])
    shared = every.unflatten(1, (2, 2)).logsumexp(dim=1)
    torch.testing.assert_close(domain, shared)
    for logits, labels in ((task, part.y), (domain, part.y), (every, part.y + 2)):
        assert (logits.argmax(dim=1) == labels).double().mean() > 0.9


def test_values_are_refused() -> None:
    method, x = build("gen-classifier"), blobs(0).x[:4]
    method.begin_task(TaskSpec(2, 1))
    with pytest.raises(ConfigError, match="learns classes"):
        method.update(Batch(x, x, torch.zeros(4, dtype=torch.int64)))
