"""Deep generative replay: a plain generator, retrained with samples of its former self.

Shin et al. 2017 (arXiv 1705.08690), with a variational autoencoder as in van de Ven et al. 2022
(Nat. Mach. Intell.). Nothing says which task a sample is of.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.distillation import DistillationSettings
from hypermnesia.methods.base import State
from hypermnesia.methods.descent import Descent
from hypermnesia.methods.generative import Replayed
from hypermnesia.methods.replay import ReplayClassifier, ReplaySettings
from hypermnesia.methods.sampler import Samples
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.precision import Precision, autocast
from hypermnesia.seeding import Generators
from hypermnesia.vae import Vae, draw_noise, elbo, pixel_means


class RetrainedVae:
    """One autoencoder for all tasks, trained on current and on replayed samples.

    Args:
        vae: template, left unchanged; its weights are the initial ones.
        optimizer: started afresh with every task.
        replay: how replayed samples enter the loss.
        generators: streams called `memory/...` are used.
        device: where everything lives.
        precision: of what training runs, and of what is replayed.
    """

    def __init__(
        self,
        vae: Vae,
        *,
        optimizer: OptimizerSettings,
        replay: ReplaySettings,
        generators: Generators,
        device: torch.device,
        precision: Precision,
    ) -> None:
        self.vae = copy.deepcopy(vae).to(device)
        self.descent, self.mixing = Descent(optimizer), replay
        self.generators = generators.under("memory")
        self.device, self.precision = device, precision
        self.former: nn.Module | None = None
        self.tasks = 0

    def begin_task(self, iterations: int) -> None:
        """Keep a copy of the decoder that knows the tasks so far; a fresh optimiser."""
        self.former = self._copy() if self.tasks else None
        self.tasks += 1
        self.descent.begin(self.vae.parameters(), iterations)

    def _copy(self) -> nn.Module:
        return copy.deepcopy(self.vae.decoder).requires_grad_(False)

    def replay(self, n: int) -> Replayed | None:
        """`n` fresh samples of the earlier tasks, mixed; None if there is none."""
        if self.former is None:
            return None
        return Replayed(self._decode(self.former, n, self.generators["noise"]), None)

    def samples(self, tasks: Sequence[int], n: int, generators: Generators) -> Samples:  # noqa: ARG002
        """`n` samples of all tasks so far, mixed."""
        return {None: self._decode(self.vae.decoder, n, generators["samples/mixed"])}

    @torch.no_grad()
    def _decode(self, decoder: nn.Module, n: int, generator: torch.Generator) -> Tensor:
        """(n, *sample) samples: expected pixels."""
        settings = self.vae.settings
        latents = torch.randn(n, settings.latent, generator=generator)
        latents = latents.to(self.device, non_blocking=True)
        with autocast(self.precision, self.device):
            decoded = decoder(latents)
        means = pixel_means(decoded.to(latents.dtype), settings.likelihood)
        return means.view(-1, *self.vae.sample_shape)

    def update(self, x: Tensor, replayed: Replayed | None) -> dict[str, Tensor]:
        """One iteration on (batch, *sample) inputs of the current task and on replayed ones."""
        settings = self.vae.settings
        everything = x if replayed is None else torch.cat([x, replayed.x])
        noise = draw_noise(1, len(everything), settings.latent, self.generators["noise"])
        with autocast(self.precision, self.device):
            output = self.vae(everything, noise.to(self.device, x.dtype, non_blocking=True))
        losses = -elbo(everything, output, settings.likelihood) / self.vae.pixels
        loss = losses[: len(x)].mean()
        if replayed is not None:
            loss = self.mixing.mix(loss, losses[len(x) :].mean(), self.tasks)
        self.descent.backward(loss)
        return {"vae_loss": loss.detach(), "vae_gradient": self.descent.step()}

    def end_task(self) -> None:
        """Drop what only the task's training needed."""
        self.former = None
        self.descent.end()

    @property
    def kept(self) -> int:
        """Number of learned values."""
        return sum(p.numel() for p in self.vae.parameters())

    def state_dict(self) -> State:
        """The autoencoder and, within a task, its former decoder and its optimiser."""
        return {
            "tasks": self.tasks,
            "vae": dict(self.vae.state_dict()),
            "former": dict(self.former.state_dict()) if self.former else None,
            **self.descent.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Put a newly built memory where `state_dict` found the other."""
        self.vae.load_state_dict(state["vae"])
        self.descent.load_state_dict(self.vae.parameters(), state)
        self.tasks, self.former = state["tasks"], None
        if state["former"] is not None:
            self.former = self._copy()
            self.former.load_state_dict(state["former"])


def dgr(
    network: nn.Module,
    scenario: ScenarioName,
    *,
    vae: Vae,
    vae_optimizer: OptimizerSettings,
    replay: ReplaySettings,
    generators: Generators,
    device: torch.device,
    precision: Precision = "float32",
    distillation: DistillationSettings | None = None,
    **plain: Any,
) -> ReplayClassifier:
    """Deep generative replay; without `distillation`, the former answer is the truth."""
    own: dict[str, Any] = {"generators": generators, "device": device, "precision": precision}
    memory = RetrainedVae(vae, optimizer=vae_optimizer, replay=replay, **own)
    return ReplayClassifier(
        network,
        scenario,
        memory=memory,
        replay=replay,
        distillation=distillation,
        **own,
        **plain,
    )
