"""The generative memory: what it gives of earlier tasks, and when it makes their decoders."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from hypermnesia.data.types import Part
from hypermnesia.evidence.autoencoders import AutoencoderSettings, GenerativeMemory
from hypermnesia.hypernet.network import Hypernetwork
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators
from problems import CPU, SMALL_VAE, batches, blobs


def memory_of(settings: AutoencoderSettings = SMALL_VAE, beta: float = 1.0) -> GenerativeMemory:
    return GenerativeMemory(
        replace(settings, regularizer=RegularizerSettings(beta=beta)),
        sample_shape=(6,),
        generators=Generators(0),
        device=CPU,
        precision="float32",
    )


def learn(memory: GenerativeMemory, part: Part, iterations: int) -> None:
    memory.begin_task(iterations)
    for batch in batches(part, iterations):
        memory.update(batch.x)
    memory.end_task()


def centres(task: int) -> torch.Tensor:
    part = blobs(task)
    return torch.stack([part.x[part.y == label].mean(dim=0) for label in (0, 1)])


def test_samples_of_every_task_lie_where_its_data_lay() -> None:
    memory = memory_of()
    for task in range(3):
        learn(memory, blobs(task), 120)
    middles = torch.cat([centres(task) for task in range(3)])
    for task in range(3):
        samples = memory.sample(task, 200, torch.Generator().manual_seed(0))
        assert samples.shape == (200, 6)
        nearest = torch.cdist(samples, middles).argmin(dim=1) // 2
        assert (nearest == task).double().mean() > 0.8


def test_an_unprotected_memory_forgets() -> None:
    distances = []
    for beta in (1.0, 0.0):
        memory = memory_of(beta=beta)
        for task in range(2):
            learn(memory, blobs(task), 100)
        samples = memory.sample(0, 200, torch.Generator().manual_seed(0))
        distances.append((samples.mean(dim=0) - centres(0).mean(dim=0)).norm().item())
    assert distances[1] > 2 * distances[0]


def test_decoders_of_earlier_tasks_are_made_once_and_stay_as_they_were(monkeypatch) -> None:
    memory = memory_of()
    learn(memory, blobs(0), 3)
    learn(memory, blobs(1), 3)
    made = []

    def counting(self: Hypernetwork, conditions: torch.Tensor, plan=None) -> torch.Tensor:
        made.append(len(conditions))
        return original(self, conditions, plan)

    original = Hypernetwork.forward
    monkeypatch.setattr(Hypernetwork, "forward", counting)
    memory.begin_task(3)
    assert made == [2]
    state = copy.deepcopy(memory.generators.state_dict())
    first = memory.replay(10)
    for batch in batches(blobs(2), 3):
        memory.update(batch.x)
    assert made == [2, 1, 1, 1]
    memory.generators.load_state_dict(state)
    again = memory.replay(10)
    assert made == [2, 1, 1, 1]
    assert torch.equal(first.x, again.x)
    assert not first.x.requires_grad


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_replay_is_what_each_tasks_decoder_gives(likelihood) -> None:
    """One batched call against a decoder a task, its weights put in by hand."""
    sizes = {"encoder": (8,), "decoder": (7, 5), "activation": "elu", "likelihood": likelihood}
    settings = replace(SMALL_VAE, **sizes)
    memory = memory_of(settings)
    assert memory.replay(4) is None
    for task in range(3):
        memory.begin_task(1)
        assert (memory.replay(4) is None) is (task == 0)
        memory.end_task()
    memory.begin_task(1)
    noise = copy.deepcopy(memory.generators["noise"])
    replayed = memory.replay(10)
    assert replayed.tasks.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    latents = torch.randn(3, 4, 3, generator=noise)
    for task in range(3):
        decoder = copy.deepcopy(memory.vae.decoder)
        torch.nn.utils.vector_to_parameters(memory.memory.weights(task), decoder.parameters())
        means = decoder(latents[task])
        means = means.sigmoid() if likelihood == "bernoulli" else means
        torch.testing.assert_close(replayed.x[4 * task : 4 * (task + 1)], means.detach())
