"""What autoencoders see of inputs, and where they start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learners import QUICK, clouds, mlp

from hypermnesia import ContinualLearner
from hypermnesia.errors import DataError
from hypermnesia.learner.design import Moments, autoencoder_design
from hypermnesia.vae import CentredVae, VaeSettings, elbo


def batches(x: torch.Tensor):
    return torch.split(x, 7)


def test_moments_are_those_of_all_samples() -> None:
    x = 5 + 3 * torch.randn(40, 2, 3)
    x[:, 0, 0] = 4.0  # does not vary
    seen = Moments(batches(x))
    flat = x.flatten(1)
    assert seen.shape == (2, 3)
    assert torch.allclose(seen.mean, flat.mean(0), atol=1e-5)
    assert torch.allclose(seen.deviation[1:], flat.std(0, correction=0)[1:], atol=1e-5)
    assert seen.deviation[0] == pytest.approx(float(seen.deviation[1:].mean()))
    assert (seen.least, seen.most) == (float(x.min()), float(x.max()))
    assert Moments([torch.ones(3, 2)]).deviation.tolist() == [1.0, 1.0]


def test_intensities_are_seen_as_they_are() -> None:
    design = autoencoder_design(batches(torch.rand(20, 1, 4, 4)), None)
    assert design.vae.likelihood == "bernoulli"
    x = torch.tensor([[-1.0, 0.25, 2.0]])
    assert design.view(x).tolist() == [[0.0, 0.25, 1.0]]
    assert design.centre(batches(torch.rand(20, 1, 4, 4))) == {}


def test_other_inputs_are_seen_in_units_of_the_first_task() -> None:
    first, second = torch.randn(50, 3) * torch.tensor([1.0, 10, 0.1]) + 4, torch.randn(50, 3) * 2
    design = autoencoder_design(batches(first), None)
    assert design.vae.likelihood == "gaussian"
    seen = design.view(first)
    assert torch.allclose(seen.mean(0), torch.zeros(3), atol=1e-4)
    assert torch.allclose(seen.std(0, correction=0), torch.full((3,), 1 / 0.3), rtol=1e-4)
    centre = design.centre(batches(second))
    assert torch.allclose(centre["shift"], design.view(second).mean(0), atol=1e-4)
    assert torch.allclose(centre["scale"], design.view(second).std(0, correction=0), rtol=1e-4)


def test_a_centred_autoencoder_s_bound_is_of_the_inputs_themselves() -> None:
    """By the definition: the same autoencoder of inputs that are shifted and scaled by hand."""
    vae = CentredVae((3,), VaeSettings((8,), (8,), 2, likelihood="gaussian"))
    shift, scale = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([2.0, 1.0, 3.0])
    x, noise = torch.randn(5, 3), torch.randn(4, 5, 2)
    plain = vae((x - shift) / scale, noise)
    with torch.no_grad():
        vae.shift.copy_(shift)
        vae.scale.copy_(scale)
    output = vae(x, noise)
    assert torch.allclose(output.mean, plain.mean, atol=1e-6)
    distance = (x - (plain.decoded * scale + shift)).square().sum(-1).mean(0)
    divergence = 0.5 * (plain.mean**2 + plain.log_variance.exp() - plain.log_variance - 1).sum(1)
    expected = -0.5 * distance - 1.5 * np.log(2 * np.pi) - divergence
    assert torch.allclose(elbo(x, output, "gaussian"), expected, atol=1e-4)


def test_tasks_far_from_the_first_one_are_told_apart() -> None:
    """Of a single number: what lies 100 deviations off is as easy to know as what lies near."""
    rng = np.random.default_rng(0)
    made = ContinualLearner(mlp(inputs=1), "likelihood", **{**QUICK, "iterations": 100})
    places = [0.0, 10.0, 100.0]
    for task, place in enumerate(places):
        made.fit(place + rng.standard_normal((90, 1)), np.arange(90) % 2, task=task)
    x = np.concatenate([place + rng.standard_normal((50, 1)) for place in places])
    assert (made.predict_task(x).tasks == np.repeat([0, 1, 2], 50)).mean() > 0.97


def test_inputs_that_cannot_be_compared() -> None:
    x, y = np.random.default_rng(0).random((90, 6)), np.arange(90) % 2
    made = ContinualLearner(mlp(), "likelihood", **{**QUICK, "iterations": 1})
    made.fit(x, y, task="a")
    for task in ("a", "b"):
        with pytest.raises(DataError, match=r"in \[0, 1\], so all must be; got from"):
            made.fit(clouds(1)[0], y, task=task)
    ragged = autoencoder_design(batches(torch.rand(20, 1, 4, 4)), None)
    with pytest.raises(DataError, match="inputs of one shape"):
        ragged.centre(batches(torch.rand(20, 1, 5, 4)))
    with pytest.raises(DataError, match="at most 20000 entries"):
        autoencoder_design([torch.zeros(2, 3, 100, 100)], None)
    assert made.tasks == ["a"]
