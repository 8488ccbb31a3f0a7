"""A generative memory: an autoencoder whose decoder one hypernetwork makes for each task.

von Oswald et al. 2020 (arXiv 1906.00695), section 2, "generative replay": the memory of HNET+R
and HNET+TIR. The decoders are protected by the output regulariser; the encoder, which only
training needs, is plain, shared by all tasks and unprotected. The task is told by its embedding;
the published decoder is told by a one-hot input as well, which adds nothing to weights that are
the task's own.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call, vmap

from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.methods.base import State
from hypermnesia.methods.trainer import HypernetTrainer
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularizers import Parameters, RegularizerSettings
from hypermnesia.seeding import Generators
from hypermnesia.vae import Vae, draw_noise, pixel_means, vae_loss


class Replayed(NamedTuple):
    """Generated samples of earlier tasks.

    Attributes:
        x: (n, *sample) samples, constant.
        tasks: (n,) int64 task of each; None where it is not known.
    """

    x: Tensor
    tasks: Tensor | None


class GenerativeMemory:
    """Samples of every task, held in one hypernetwork.

    Args:
        vae: template of the autoencoders, left unchanged.
        hypernet: sizes of the hypernetwork that makes decoders.
        regularizer: how earlier decoders are protected.
        optimizer: for θ and the encoder.
        embedding_optimizer: for the current task's embedding.
        generators: streams called `memory/...` are used.
        device: where everything lives.
    """

    def __init__(
        self,
        vae: Vae,
        *,
        hypernet: HypernetSettings,
        regularizer: RegularizerSettings,
        optimizer: OptimizerSettings,
        embedding_optimizer: OptimizerSettings,
        generators: Generators,
        device: torch.device,
    ) -> None:
        self.generators, self.device = generators.under("memory"), device
        self.memory = WeightMemory(
            vae, hypernet, generated=("decoder.*",), head=None, device=device
        )
        self.vae = cast(Vae, self.memory.target.module)
        self.trainer = HypernetTrainer(
            self.memory,
            regularizer=regularizer,
            optimizer=optimizer,
            embedding_optimizer=embedding_optimizer,
            generators=self.generators,
            train_shared=True,
        )
        self._former: Parameters | None = None
        self._decoders: Tensor | None = None

    def begin_task(self, iterations: int) -> None:
        """Make the decoders of all earlier tasks, once, and room for one more."""
        if self.memory.tasks:
            theta = self.memory.hypernet.named_parameters()
            self._recall({name: p.detach().clone() for name, p in theta})
        self.memory.add_task(self.vae.pixels, self.generators)
        self.trainer.begin_task(iterations)

    @torch.no_grad()
    def _recall(self, theta: Parameters) -> None:
        """Decoders of the tasks that the current one found, as they were then."""
        earlier = self.memory.tasks - bool(self.trainer.optimizers)
        conditions = torch.stack([e.detach() for e in self.memory.embeddings[:earlier]])
        self._former = theta
        self._decoders = functional_call(self.memory.hypernet, theta, (conditions,))

    def replay(self, n: int) -> Replayed | None:
        """At least `n` fresh samples, equally many of each earlier task; None if there is none."""
        if self._decoders is None:
            return None
        tasks = len(self._decoders)
        each = -(-n // tasks)
        x = self._decode(self._decoders, each, self.generators["noise"])
        return Replayed(x, torch.arange(tasks, device=self.device).repeat_interleave(each))

    def update(self, x: Tensor, replayed: Replayed | None = None) -> dict[str, Tensor]:  # noqa: ARG002
        """One iteration on (batch, *sample) inputs of the current task.

        Nothing replayed is needed: the regulariser protects what the memory holds.
        """
        task, settings = self.memory.tasks - 1, self.vae.settings
        noise = draw_noise(1, len(x), settings.latent, self.generators["noise"])
        noise = noise.to(self.device, x.dtype, non_blocking=True)

        def loss() -> Tensor:
            return vae_loss(x, self.memory.run(task, x, noise, training=True), settings.likelihood)

        return {f"vae_{name}": value for name, value in self.trainer.step(loss).items()}

    def end_task(self) -> None:
        """Nothing to keep but the hypernetwork, the embeddings and the encoder."""
        self.trainer.end_task()
        self._former = self._decoders = None

    @torch.no_grad()
    def sample(self, task: int, n: int, generator: torch.Generator) -> Tensor:
        """(n, *sample) samples of a task as it is remembered now: expected pixels."""
        return self._decode(self.memory.weights(task)[None], n, generator)

    @torch.no_grad()
    def _decode(
        self, weights: Float[Tensor, "tasks N"], n: int, generator: torch.Generator
    ) -> Tensor:
        """(tasks · n, *sample) samples, `n` from each row of weights, in one batched call."""
        layout, settings = self.memory.layouts[0], self.vae.settings
        latents = torch.randn(len(weights), n, settings.latent, generator=generator)

        def one(row: Tensor, own: Tensor) -> Tensor:
            named = {k.removeprefix("decoder."): p for k, p in layout.split(row).items()}
            decoded: Tensor = functional_call(self.vae.decoder, named, (own,))
            return decoded

        decoded = vmap(one)(weights, latents.to(weights, non_blocking=True))
        means = pixel_means(decoded, settings.likelihood)
        return means.view(-1, *self.vae.sample_shape)

    @property
    def kept(self) -> int:
        """Number of learned values."""
        return self.memory.kept

    def state_dict(self) -> State:
        """The memory and, within a task, θ at its start and the state of its training."""
        return {
            "memory": self.memory.state_dict(),
            "trainer": self.trainer.state_dict(),
            "former": self._former,
        }

    def load_state_dict(self, state: State) -> None:
        """Put a newly built memory where `state_dict` found the other."""
        self.memory.load_state_dict(state["memory"])
        self.end_task()
        self.trainer.load_state_dict(state["trainer"])
        if state["former"] is not None:
            self._recall({n: p.to(self.device) for n, p in state["former"].items()})
