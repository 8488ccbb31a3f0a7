"""What autoencoders see of inputs, and where they start."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from learners import QUICK, clouds, mlp
from sklearn.datasets import load_digits
from torch import nn

from hypermnesia import ContinualLearner
from hypermnesia.data.types import Batch
from hypermnesia.errors import DataError
from hypermnesia.learner.design import Moments, autoencoder_design
from hypermnesia.vae import EDGE, CentredVae, Vae, VaeSettings, elbo


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
    assert torch.equal(seen.least, flat.amin(0))
    assert torch.equal(seen.most, flat.amax(0))
    assert Moments([torch.ones(3, 2)]).deviation.tolist() == [1.0, 1.0]


def test_intensities_are_seen_as_they_are() -> None:
    design = autoencoder_design(batches(torch.rand(20, 1, 4, 4)), None)
    assert design.vae.likelihood == "bernoulli"
    x = torch.rand(3, 1, 4, 4) * 3 - 1
    assert torch.equal(design.view(x), x)
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


def test_a_box_is_the_unit_box_or_changed_no_more_than_needed() -> None:
    low = torch.tensor([0.2, -0.05, -0.5, 0.9, 3.0, -2.0])
    box = Moments([torch.stack([low, torch.tensor([0.7, 1.05, 0.1, 1.5, 3.5, 6.0])])]).box()
    assert torch.allclose(box["shift"], torch.tensor([0.0, 0.0, -0.5, 0.0, 2.5, -2.0]))
    assert torch.allclose(box["scale"], torch.tensor([1.0, 1.0, 1.5, 1.5, 1.0, 8.0]))
    assert Moments([torch.rand(5, 2) * 1.1 - 0.05]).box() == {}


def test_intensities_of_a_box_are_a_density_of_the_inputs_themselves() -> None:
    """By the definition: that of x in [0, 1] with the change of units; beyond, as of a Gaussian."""
    vae = CentredVae((3,), VaeSettings((8,), (8,), 2))
    shift, scale = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([2.0, 1.0, 3.0])
    inside, noise = torch.rand(5, 3), torch.randn(4, 5, 2)
    plain = elbo(inside, Vae.forward(vae, inside, noise), "bernoulli")
    assert torch.equal(elbo(inside, vae(inside, noise), "bernoulli"), plain)
    expected = plain - scale.log().sum()
    with torch.no_grad():
        vae.shift.copy_(shift)
        vae.scale.copy_(scale)
    x = shift + scale * inside
    assert torch.allclose(elbo(x, vae(x, noise), "bernoulli"), expected, atol=1e-4)
    edge = inside.clone()
    edge[:, 0] = 1.0
    on, off = shift + scale * edge, shift + scale * (edge + torch.tensor([3 * EDGE, 0.0, 0.0]))
    lost = elbo(on, vae(on, noise), "bernoulli") - elbo(off, vae(off, noise), "bernoulli")
    assert torch.allclose(lost, torch.full((5,), 0.5 * 3**2), atol=1e-3)


@pytest.mark.parametrize("places", [(0.0, 3.0, -40.0), (0.0, 0.6, 1000.0)], ids=str)
def test_tasks_out_of_the_range_of_the_first_one_are_told_apart(places) -> None:
    """Scaled to [0, 1] by the first task's least and most, as later tasks cannot know."""
    rng, made = np.random.default_rng(0), ContinualLearner(mlp(), "likelihood", **QUICK)
    spread = {place: 0.1 if abs(place) < 10 else 8.0 for place in places}

    def near(place, n):
        x = place + 0.5 + spread[place] * rng.standard_normal((n, 6)) * [1, 1, 1, 1, 0.5, 0.5]
        return x.clip(0, 1) if place == 0 else x

    for task, place in enumerate(places):
        made.fit(near(place, 90), np.arange(90) % 2, task=task)
    x = np.concatenate([near(place, 50) for place in places])
    assert (made.predict_task(x).tasks == np.repeat([0, 1, 2], 50)).mean() > 0.95
    slightly = near(0.0, 50) + 0.05  # of the first task, some beyond the training's range
    assert (made.predict_task(slightly).tasks == 0).mean() > 0.95


@pytest.mark.parametrize("noise", [0.02, 0.05], ids=["nearly in range", "out of range"])
def test_noise_about_black_is_no_reason_to_take_a_task_for_another(noise) -> None:
    x, y = load_digits(return_X_y=True)
    x = np.where(
        (y < 5)[:, None], x / 16, x / 16 + noise * np.random.default_rng(0).normal(size=x.shape)
    )
    made = ContinualLearner(nn.Linear(64, 5), "likelihood", iterations=200, lr=3e-3)
    for task in (0, 1):
        made.fit(x[::2][y[::2] // 5 == task], y[::2][y[::2] // 5 == task], task=task)
    right = made.predict_task(x[1::2]).tasks == y[1::2] // 5
    assert min(right[y[1::2] < 5].mean(), right[y[1::2] >= 5].mean()) > 0.7


def test_inputs_that_cannot_be_compared() -> None:
    x, y = np.random.default_rng(0).random((90, 6)), np.arange(90) % 2
    made = ContinualLearner(mlp(), "likelihood", **{**QUICK, "iterations": 1})
    made.fit(x, y, task="a").fit(x + 5, y, task="b").fit(x + 5.05, y, task="b")
    for task, known in {"a": "0 to 1", "b": "4.98 to 6"}.items():
        with pytest.raises(DataError, match=f"range of the first.*where they had from {known}"):
            made.fit(clouds(1)[0], y, task=task)
    replayed = ContinualLearner(mlp(), "classifier", **{**QUICK, "iterations": 1})
    with pytest.raises(DataError, match=r"range of the first ones; got .* scale them alike"):
        replayed.fit(x, y, task="a").fit(x + 0.05, y, task="b")
    ragged = autoencoder_design(batches(torch.rand(20, 1, 4, 4)), None)
    with pytest.raises(DataError, match="inputs of one shape"):
        ragged.centre(batches(torch.rand(20, 1, 5, 4)))
    with pytest.raises(DataError, match="at most 20000 entries"):
        autoencoder_design([torch.zeros(2, 3, 100, 100)], None)
    assert made.tasks == ["a", "b"]


def test_an_autoencoder_that_has_not_fitted_is_named() -> None:
    x = np.concatenate([clouds(0, n=150)[0]] * 2)
    made = ContinualLearner(mlp(), "likelihood", **{**QUICK, "iterations": 2})
    with pytest.warns(UserWarning, match="the autoencoder of task 'a' should explain held-out"):
        made.fit(x, np.arange(300) % 2, task="a")


@pytest.mark.parametrize("intensities", [False, True])
def test_the_gain_by_hand(intensities: bool) -> None:
    """The elbo of each sample, less that of the other samples' mean with no latents."""
    rng = np.random.default_rng(0)
    x = rng.random((40, 6)).astype(np.float32) - (0.0 if intensities else 0.5)
    made = ContinualLearner(mlp(), "likelihood", **{**QUICK, "iterations": 30})
    made.fit(x, np.arange(40) % 2, task="a")
    evidence = made._learned.method.evidence
    seen = evidence.view(torch.as_tensor(x[:12]))
    y = torch.zeros(12, dtype=torch.int64)
    batches = [Batch(torch.as_tensor(part), y[:6], y[:6]) for part in (x[:6], x[6:12])]
    noise = evidence._noise.expand(-1, 12, -1)
    with torch.no_grad():
        output = evidence.memory.run(0, (seen, noise), training=False)
    kind, plain = evidence.sampler.vae.settings.likelihood, []
    for i in range(12):
        others = torch.cat([seen[:i], seen[i + 1 :]])
        if intensities:
            p = (others.sum(0) + 0.5) / 12
            plain.append(float((seen[i] * p.log() + (1 - seen[i]) * (1 - p).log()).sum()))
        else:
            normal = torch.distributions.Normal(others.mean(0), 1.0)
            plain.append(float(normal.log_prob(seen[i]).sum()))
    expected = float(elbo(seen, output, kind).mean()) - float(np.mean(plain))
    assert kind == ("bernoulli" if intensities else "gaussian")
    assert evidence.gain(0, batches) == pytest.approx(expected, abs=1e-3)
