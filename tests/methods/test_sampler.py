"""What a method's generative memory shows of itself, against decoders asked by hand."""

from __future__ import annotations

import copy

import pytest
import torch

from hypermnesia.evidence.autoencoders import sampler_of
from hypermnesia.methods import METHODS, Method, TaskSpec
from hypermnesia.seeding import Generators
from problems import SMALL_VAE, batches, blobs, build, learn

WITH_MEMORY = ["hnet-lik", "hnet-tir", "hnet-r", "dgr", "dgr-distill"]


def trained(name: str, tasks: int = 2) -> Method:
    method = build(name)
    for task in range(tasks):
        learn(method, blobs(task), 3)
    return method


def latents(stream: str, n: int) -> torch.Tensor:
    return torch.randn(n, SMALL_VAE.latent, generator=Generators(7)[f"samples/{stream}"])


def test_methods_with_a_memory_are_known() -> None:
    assert [name for name in METHODS if sampler_of(build(name)) is not None] == WITH_MEMORY


@pytest.mark.parametrize("name", ["hnet-lik", "hnet-tir", "hnet-r"])
def test_samples_of_a_task_are_what_its_decoder_gives(name: str) -> None:
    sampler = trained(name).sampler
    samples = sampler.samples([0, 1], 4, Generators(7))
    for task in range(2):
        vae = copy.deepcopy(sampler.vae)
        own = sampler.memory.layouts[task].split(sampler.memory.weights(task).detach())
        vae.load_state_dict(own, strict=False)
        expected = vae.decoder(latents(str(task), 4)).detach()
        torch.testing.assert_close(samples[task], expected)
    assert not torch.allclose(samples[0], samples[1])
    again = sampler.samples([1], 4, Generators(7))
    assert torch.equal(again[1], samples[1])


@pytest.mark.parametrize("name", ["dgr", "dgr-distill"])
def test_a_plain_generator_mixes_tasks(name: str) -> None:
    sampler = trained(name).sampler
    samples = sampler.samples([0, 1], 4, Generators(7))
    assert list(samples) == [None]
    expected = sampler.vae.decoder(latents("mixed", 4)).detach()
    torch.testing.assert_close(samples[None], expected)
    assert not samples[None].requires_grad


@pytest.mark.parametrize("name", WITH_MEMORY)
def test_asking_changes_nothing_of_a_training(name: str) -> None:
    asked, left_alone = (build(name, generators=Generators(3)) for _ in range(2))
    for task in range(2):
        for method in (asked, left_alone):
            method.begin_task(TaskSpec(2, 3))
            for batch in batches(blobs(task), 3):
                if method is asked:
                    method.sampler.samples(range(task + 1), 2, Generators(3))
                method.update(batch)
            method.end_task([])
    x = blobs(0).x
    assert torch.equal(asked.predict(x, 0).logits, left_alone.predict(x, 0).logits)
    again = [method.sampler.samples([0], 2, Generators(3)) for method in (asked, left_alone)]
    for task in again[0]:
        assert torch.equal(again[0][task], again[1][task])
