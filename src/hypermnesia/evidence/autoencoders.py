"""Autoencoders whose weights, or those of their decoders, one hypernetwork makes for each task.

Loss: -ELBO, Kingma and Welling 2014 (arXiv 1312.6114). Step and regulariser: von Oswald et al.
2020 (arXiv 1906.00695), whose "generative replay" (section 2, HNET+R and HNET+TIR) is
`GenerativeMemory`. The published decoder takes the task as a one-hot input, too, which adds nothing
to weights that are the task's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, cast

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from hypermnesia.compute import Precision, autocast
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import Parameters, RegularizerSettings
from hypermnesia.regularization.step import HypernetTrainer
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.tree import one_tensor
from hypermnesia.vae import Vae, VaeSettings, build_vae, draw_noise, pixel_means, vae_loss

Samples = dict[int | None, Tensor]
"""task -> (n, *sample) samples of it; under None those of all tasks, mixed."""


class Sampler(Protocol):
    """What gives samples of the tasks learned so far."""

    def samples(self, tasks: Sequence[int], n: int, generators: Generators) -> Samples:
        """`n` samples of each task as it is remembered now; changes nothing.

        A memory that does not know whose its samples are gives `n` in all, mixed, under None. Of
        `generators`, other than those of the training, streams called `samples/...` are used.
        """


def sampler_of(method: object) -> Sampler | None:
    """The generative memory of a method; None if it has none."""
    return getattr(method, "sampler", None)


@dataclass(frozen=True)
class AutoencoderSettings(VaeSettings):
    """The autoencoders of all tasks: their sizes, and how they are learned.

    Attributes:
        optimizer: for θ and what is shared; of a plain autoencoder, for everything.
        embedding_optimizer: for the current task's embedding.
    """

    hypernet: HypernetSettings = field(default_factory=HypernetSettings)
    regularizer: RegularizerSettings = field(default_factory=RegularizerSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    embedding_optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)


@dataclass(frozen=True)
class ReplaySettings:
    """How replayed samples enter a loss.

    Attributes:
        share: weight of their loss against that of the current samples: `half` (von Oswald et al.
            2020, public code), or by `tasks`: 1 - 1/t in task t (van de Ven et al. 2022).
    """

    share: Literal["half", "tasks"] = "half"

    def mix(self, current: Tensor, past: Tensor, tasks: int) -> Tensor:
        """The scalar loss in a task, of `tasks` so far, with the losses `current` and `past`."""
        weight = 0.5 if self.share == "half" else 1 - 1 / tasks
        return (1 - weight) * current + weight * past


class VaeMemory:
    """Autoencoders for each task, held in one hypernetwork; what it does not make is shared.

    A task has one, or one for each of its parts, which are learned together. The decoder's
    parameters are among the `generated`; the streams `hypernet`, `embedding`, `noise`, `subset` and
    `rows` are used.
    """

    def __init__(
        self,
        template: Vae,
        settings: AutoencoderSettings,
        *,
        generated: Sequence[str],
        generators: Generators,
        device: torch.device,
        precision: Precision,
    ) -> None:
        self.generators, self.device = generators, device
        own: dict[str, Any] = {"generated": generated, "device": device, "precision": precision}
        self.memory = WeightMemory(template, settings.hypernet, head=None, **own)
        self.vae = cast(Vae, self.memory.target.module)
        self.parts: list[int] = []
        names = ("regularizer", "optimizer", "embedding_optimizer")
        learning: dict[str, Any] = {name: getattr(settings, name) for name in names}
        self.trainer = HypernetTrainer(
            self.memory, generators=generators, train_shared=True, **learning
        )

    def begin_task(self, iterations: int, parts: int = 1) -> None:
        """Make room for one more task with so many autoencoders, and protect the earlier ones."""
        self.parts.append(parts)
        for _ in range(parts):
            self.memory.add_task(self.vae.pixels, self.generators)
        self.continue_task(len(self.parts) - 1, iterations)

    def continue_task(self, task: int, iterations: int, *, partly: bool = False) -> None:
        """Go on learning a task that has ended; all others are protected, later ones too.

        So is the task itself where samples are of a part of it.
        """
        self.trainer.begin_task(iterations, self._autoencoders(task), partly=partly)

    def remove_task(self, task: int) -> None:
        """Forget a task and its autoencoders; later ones count less."""
        for autoencoder in reversed(self._autoencoders(task)):
            self.memory.remove_task(autoencoder)
        del self.parts[task]
        self.trainer.tasks, self.trainer.held = [], []

    def _autoencoders(self, task: int) -> range:
        """Those of a task, by their numbers in `memory`."""
        first = sum(self.parts[:task])
        return range(first, first + self.parts[task])

    def learn(self, x: Tensor, part: Tensor | None = None) -> dict[str, Tensor]:
        """One iteration on (batch, *sample) inputs of the task in training.

        (batch,) int64 `part` says which of the task's autoencoders learns each; None: the only one.
        """
        x = one_tensor(x, "an autoencoder")
        noise = draw_noise(1, len(x), self.vae.settings.latent, self.generators["noise"])
        noise = noise.to(self.device, x.dtype, non_blocking=True)
        metrics = self.trainer.step(lambda: self.loss(x, noise, part, training=True))
        return {f"vae_{name}": value for name, value in metrics.items()}

    def loss(self, x: Tensor, noise: Tensor, part: Tensor | None, *, training: bool) -> Tensor:
        """The mean loss of (batch, *sample) inputs, each under its part's autoencoder."""
        loss = x.new_zeros(())
        for index, autoencoder in enumerate(self.trainer.tasks):
            own = slice(None) if part is None else (part == index).nonzero().squeeze(1)
            if len(some := x[own]):
                output = self.memory.run(autoencoder, (some, noise[:, own]), training=training)
                of_part = vae_loss(some, output, self.vae.settings.likelihood)
                loss = loss + len(some) / len(x) * of_part
        return loss

    def end_task(self) -> None:
        """Drop what only the task's training needed."""
        self.trainer.end_task()

    def samples(self, tasks: Sequence[int], n: int, generators: Generators) -> Samples:
        """`n` samples of each task as it is remembered now."""
        return {task: self.sample(task, n, generators[f"samples/{task}"]) for task in tasks}

    @torch.no_grad()
    def sample(self, task: int, n: int, generator: torch.Generator) -> Tensor:
        """(n, *sample) samples of a task as it is remembered now: expected pixels."""
        own = self._autoencoders(task)
        weights = torch.stack([self.memory.weights(autoencoder) for autoencoder in own])
        x = self._decode(weights, -(-n // len(own)), generator)
        by_part = x.view(len(own), -1, *self.vae.sample_shape)
        return by_part.transpose(0, 1).flatten(0, 1)[:n]  # the parts in turn

    @torch.no_grad()
    def _decode(self, weights: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """(tasks · n, *sample) samples, `n` of each row of (tasks, N) weights, in one call."""
        layout, settings = self.memory.layouts[0], self.vae.settings
        latents = torch.randn(len(weights), n, settings.latent, generator=generator)

        def one(row: Tensor, own: Tensor) -> Tensor:
            named, prefix = layout.split(row), "decoder."
            named = {n.removeprefix(prefix): p for n, p in named.items() if n.startswith(prefix)}
            return cast(Tensor, functional_call(self.vae.decoder, named, (own,)))

        with autocast(self.memory.precision, self.device):
            decoded = vmap(one)(weights, latents.to(weights, non_blocking=True))
        means = pixel_means(decoded.to(weights.dtype), settings.likelihood)
        return means.view(-1, *self.vae.sample_shape)

    @property
    def kept(self) -> int:
        """Number of learned values."""
        return self.memory.kept

    def state_dict(self) -> State:
        """The memory and, within a task, the state of its training."""
        memory, trainer = self.memory.state_dict(), self.trainer.state_dict()
        return {"parts": self.parts, "memory": memory, "trainer": trainer}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built memory where `state_dict` found the other."""
        self.memory.load_state_dict(state["memory"])
        self.parts = [*state["parts"]]
        self.trainer.load_state_dict(state["trainer"])


class Replayed(NamedTuple):
    """Generated samples of earlier tasks."""

    x: Tensor  # (n, *sample), constant
    tasks: Tensor | None  # (n,) int64; None where they are not known


class GenerativeMemory(VaeMemory):
    """Samples of every task, from decoders that one hypernetwork makes and protects.

    The encoder, which only training needs, is plain, shared by all tasks and unprotected. The
    streams `vae` and `memory/...` are used.
    """

    def __init__(
        self,
        vae: AutoencoderSettings,
        *,
        sample_shape: Sequence[int],
        generators: Generators,
        device: torch.device,
        precision: Precision,
    ) -> None:
        own: dict[str, Any] = {"device": device, "precision": precision}
        own |= {"generated": ("decoder.*",), "generators": generators.under("memory")}
        super().__init__(build_vae(vae, sample_shape, generators), vae, **own)
        self._former: Parameters | None = None
        self._decoders: Tensor | None = None

    def begin_task(self, iterations: int, parts: int = 1) -> None:
        """Make the decoders of all earlier tasks, once, and room for one more."""
        if self.memory.tasks:
            theta = self.memory.hypernet.named_parameters()
            self._recall({name: p.detach().clone() for name, p in theta})
        super().begin_task(iterations, parts)

    @torch.no_grad()
    def _recall(self, theta: Parameters) -> None:
        """Decoders of the tasks that the current one found, as they were then."""
        conditions = self.memory.condition(range(self.memory.tasks - bool(self.trainer.optimizers)))
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

    def update(self, x: Tensor, *_replayed: object) -> dict[str, Tensor]:
        """One iteration on (batch, *sample) inputs; the regulariser protects earlier tasks."""
        return self.learn(x)

    def end_task(self) -> None:
        """Nothing to keep but the hypernetwork, the embeddings and the encoder."""
        super().end_task()
        self._former = self._decoders = None

    def state_dict(self) -> State:
        """The memory and, within a task, θ at its start and the state of its training."""
        return super().state_dict() | {"former": self._former}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built memory where `state_dict` found the other."""
        self.end_task()
        super().load_state_dict(state)
        if state["former"] is not None:
            self._recall({n: p.to(self.device) for n, p in state["former"].items()})
