"""Generative replay: `hnet-r`, `dgr` and `dgr-distill`.

(1 - w) L on the task's data + w D(former answers, answers) on generated samples of earlier tasks,
with w = 1/2 or 1 - 1/T. Methods differ in the memory that samples come from and in the former
answers, soft or hard. `hnet-r`: decoders that a hypernetwork makes, HNET+R of von Oswald et al.
2020 (arXiv 1906.00695). `dgr`, `dgr-distill`: a plain generator, retrained with samples of its
former self, Shin et al. 2017 (arXiv 1705.08690), with a variational autoencoder as in van de Ven
et al. 2022 (Nat. Mach. Intell.); nothing says which task a sample is of.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.compute import Precision, autocast
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.evidence import autoencoders
from hypermnesia.evidence.autoencoders import AutoencoderSettings, GenerativeMemory, Replayed
from hypermnesia.methods.base import TaskSpec, not_in_parts
from hypermnesia.methods.lwf import DistillationSettings, SelfTaught, distill
from hypermnesia.optimizers import Descent, Reduce
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.tree import one_tensor
from hypermnesia.vae import build_vae, draw_noise, elbo, pixel_means


class RetrainedVae:
    """One autoencoder for all tasks, trained on current and on replayed samples.

    Of `vae` it reads the sizes and the optimiser; the streams `vae` and `memory/...` are used.
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
        self.vae = build_vae(vae, sample_shape, generators).to(device)
        self.descent, self.generators = Descent(vae.optimizer), generators.under("memory")
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

    def samples(self, tasks: Sequence[int], n: int, generators: Generators) -> autoencoders.Samples:  # noqa: ARG002
        """`n` samples of all tasks so far, mixed."""
        return {None: self._decode(self.vae.decoder, n, generators["samples/mixed"])}

    @torch.no_grad()
    def _decode(self, decoder: nn.Module, n: int, generator: torch.Generator) -> Tensor:
        """(n, *sample) samples: expected pixels."""
        settings = self.vae.settings
        drawn = torch.randn(n, settings.latent, generator=generator)
        latents = drawn.to(self.device, non_blocking=True)
        with autocast(self.precision, self.device):
            decoded = decoder(latents)
        means = pixel_means(decoded.to(latents.dtype), settings.likelihood)
        return means.view(-1, *self.vae.sample_shape)

    def update(
        self, x: Tensor, replayed: Replayed | None, replay: autoencoders.ReplaySettings
    ) -> dict[str, Tensor]:
        """One iteration on (batch, *sample) inputs of the current task and on replayed ones."""
        settings, x = self.vae.settings, one_tensor(x, "an autoencoder")
        everything = x if replayed is None else torch.cat([x, replayed.x])
        noise = draw_noise(1, len(everything), settings.latent, self.generators["noise"])
        with autocast(self.precision, self.device):
            output = self.vae(everything, noise.to(self.device, x.dtype, non_blocking=True))
        losses = -elbo(everything, output, settings.likelihood) / self.vae.pixels
        loss = losses[: len(x)].mean()
        if replayed is not None:
            loss = replay.mix(loss, losses[len(x) :].mean(), self.tasks)
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
        former = dict(self.former.state_dict()) if self.former else None
        own = {"tasks": self.tasks, "vae": dict(self.vae.state_dict()), "former": former}
        return own | self.descent.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Put a newly built memory where `state_dict` found the other."""
        self.vae.load_state_dict(state["vae"])
        self.descent.load_state_dict(self.vae.parameters(), state)
        self.tasks, self.former = state["tasks"], None
        if state["former"] is not None:
            self.former = self._copy()
            self.former.load_state_dict(state["former"])


class ReplayClassifier(SelfTaught):
    """A plain classifier trained on current samples, and on replayed ones with former answers.

    Its copy at the start of the task gives the former answers: over the candidates of the sample's
    task, if known; otherwise, in the task scenario, by each earlier head. `memory` is the class of
    what samples of earlier tasks come from. Without `distillation` the former answer is the truth;
    `unseen` is the former logit of new classes (-inf gives them no probability).
    """

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        memory: type[GenerativeMemory | RetrainedVae],
        vae: AutoencoderSettings,
        sample_shape: Sequence[int],
        replay: autoencoders.ReplaySettings,
        generators: Generators,
        device: torch.device,
        precision: Precision = "float32",
        distillation: DistillationSettings | None = None,
        unseen: float = -torch.inf,
        **plain: Any,
    ) -> None:
        own: dict[str, Any] = {"generators": generators, "device": device, "precision": precision}
        super().__init__(network, scenario, **own, **plain)
        self.memory = self.sampler = memory(vae, sample_shape=sample_shape, **own)
        self.replay, self.distillation, self.unseen = replay, distillation, unseen

    @property
    def _former_columns(self) -> int:
        return self.scenario.columns

    def take_parts(self, reduce: Reduce) -> None:  # noqa: ARG002
        """Raise `ConfigError`: what is replayed is drawn by the sample."""
        raise not_in_parts("a method with replayed samples")

    def begin_task(self, spec: TaskSpec) -> None:
        """Keep a copy of the network that knows the tasks so far."""
        super().begin_task(spec)
        self.memory.begin_task(spec.iterations)
        if len(self.scenario.heads) > 1:
            self.former = copy.deepcopy(self.network).eval()

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """A step of the classifier and one of the memory."""
        replayed = self.memory.replay(len(batch))
        remembered = self.memory.update(batch.original, replayed, self.replay)
        if replayed is None:
            return super().update(batch) | remembered
        # One pass over both, so that statistics of a batch are those of all tasks.
        logits = self._logits(torch.cat([batch.x, replayed.x]))
        own, metrics = self._own_loss(logits[: len(batch)], batch)
        past = self._past_loss(logits[len(batch) :], replayed)
        loss = self.replay.mix(own, past, len(self.scenario.heads))
        return metrics | {"replay_loss": past.detach()} | self._descend(loss) | remembered

    def _past_loss(self, logits: Tensor, replayed: Replayed) -> Tensor:
        """How far the answers to replayed samples are from the former ones."""
        known, tasks = self._earlier.columns, replayed.tasks
        targets = self._answers_before(replayed.x)[:, :known]
        targets = F.pad(targets, (0, logits.shape[1] - known), value=self.unseen)
        if tasks is None and self.scenario.name == "task":
            heads = len(self.scenario.heads) - 1
            tasks = torch.arange(heads, device=logits.device).repeat_interleave(len(logits))
            logits, targets = logits.repeat(heads, 1), targets.repeat(heads, 1)
        if tasks is not None:
            logits, targets = self._masked(logits, tasks), self._masked(targets, tasks)
        if self.distillation is None:
            return F.cross_entropy(logits, targets.argmax(dim=1))
        distillation = self.distillation
        return distillation.strength * distill(logits, targets, distillation.temperature)

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Drop what only the task's training needed."""
        super().end_task(batches)
        self.memory.end_task()

    @property
    def kept(self) -> int:
        """The classifier and all that the memory keeps."""
        return self.weights + self.memory.kept

    def state_dict(self) -> State:
        """The classifier, its former self within a task, and the memory."""
        return super().state_dict() | {"memory": self.memory.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        super().load_state_dict(state)
        self.memory.load_state_dict(state["memory"])


hnet_r = partial(ReplayClassifier, memory=GenerativeMemory, unseen=0.0)
"""HNET+R: samples from decoders of a hypernetwork; new classes had the logit 0."""

dgr_distill = partial(ReplayClassifier, memory=RetrainedVae)
"""Deep generative replay with soft labels."""

dgr = partial(dgr_distill, distillation=None)
"""Deep generative replay; the former answer is the truth."""
