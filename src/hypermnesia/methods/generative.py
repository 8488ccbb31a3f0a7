"""`gen-classifier`: an autoencoder of its own for each class; the likeliest class answers.

class = argmax_c log p(x | c), by an importance-weighted bound on it: van de Ven, Li and Tolias,
"Class-incremental learning with generative classifiers", CVPRW 2021, arXiv 2104.10093. Classes
share nothing, so that nothing is forgotten, and what is kept grows with each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError
from hypermnesia.evidence.autoencoders import AutoencoderSettings
from hypermnesia.methods.base import Prediction, TaskSpec, answered, of_classes, task_needed
from hypermnesia.modules import copied
from hypermnesia.optimizers import Descent
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.tree import Tree, one_tensor
from hypermnesia.vae import (
    BoundSettings,
    Vae,
    build_vae,
    draw_noise,
    elbo,
    importance_weighted_bound,
)

_AT_ONCE = 16  # draws of the latents that are in memory together


class _Bounds(nn.Module):
    """(batch, classes) importance-weighted bounds on log p(x | c), with draws that never change."""

    noise: Tensor

    def __init__(self, vaes: Iterable[nn.Module], noise: Tensor) -> None:
        super().__init__()
        self.vaes = nn.ModuleList(vaes)
        self.register_buffer("noise", noise)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self._bound(vae, x) for vae in self.vaes], dim=1)

    def _bound(self, vae: Any, x: Tensor) -> Tensor:
        sums = []
        for own in torch.split(self.noise.to(x.dtype), _AT_ONCE):
            noise = own.expand(-1, len(x), -1)
            found = importance_weighted_bound(x, noise, vae(x, noise), vae.settings.likelihood)
            sums.append(found + math.log(len(own)))
        return torch.stack(sums).logsumexp(dim=0) - math.log(len(self.noise))


class GenerativeClassifier:
    """A variational autoencoder for each class, learned from the samples of that class alone.

    Of `vae` it reads the sizes and the optimiser, of `bound` the draws. In the domain scenario a
    label's density is the sum of its classes' over tasks. The streams `vae` and `noise` are used.
    """

    trains_on: Literal["task", "all"] = "task"
    answers: tuple[ScenarioName, ...] = ("task", "domain", "class")

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        vae: AutoencoderSettings,
        bound: BoundSettings,
        sample_shape: Sequence[int],
        generators: Generators,
        device: torch.device,
    ) -> None:
        self.scenario = Scenario(scenario)
        self.target_weights = sum(p.numel() for p in network.parameters())
        self.settings, self.shape = vae, tuple(sample_shape)
        self.generators, self.device = generators, device
        self.vaes = nn.ModuleList()
        self.descent, self.task = Descent(vae.optimizer), 0
        # Never drawn anew, as bounds are compared.
        draws = torch.Generator().manual_seed(0)
        self._noise = draw_noise(bound.samples, 1, vae.latent, draws).to(device)

    def begin_task(self, spec: TaskSpec) -> None:
        """Give each class of the task an autoencoder; a fresh optimiser."""
        self.scenario = self.scenario.add(spec.outputs)
        for _ in range(spec.outputs):
            self.vaes.append(build_vae(self.settings, self.shape, self.generators).to(self.device))
        self._start(len(self.scenario.heads) - 1, spec.iterations)

    def continue_task(self, task: int, iterations: int) -> None:
        """Go on learning the classes of a task that has ended."""
        self._start(task, iterations)

    def _start(self, task: int, iterations: int) -> None:
        self.task = task
        self.descent.begin(self._of(task).parameters(), iterations)

    def _of(self, task: int | None) -> nn.ModuleList:
        """The autoencoders of a task, or of all."""
        first = 0 if task is None else sum(self.scenario.heads[:task])
        last = None if task is None else first + self.scenario.heads[task]
        return nn.ModuleList(islice(self.vaes, first, last))

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take a step on the negative elbo of each sample under its class, not augmented."""
        x = one_tensor(batch.original, "an autoencoder")
        noise = draw_noise(1, len(x), self.settings.latent, self.generators["noise"])
        loss = self._loss(x, noise.to(self.device, x.dtype), batch)
        self.descent.backward(loss)
        return {"loss": loss.detach(), "gradient": self.descent.step()}

    def _loss(self, x: Tensor, noise: Tensor, batch: Batch) -> Tensor:
        """The mean loss of (batch, *sample) inputs; raises for targets that are values."""
        if batch.y.is_floating_point():
            rule, hint = "gen-classifier learns classes", "use hnet, finetune or si"
            raise ConfigError(rule, got="targets that are values", hint=hint)
        total = x.new_zeros(())
        for c, vae in enumerate(self._of(self.task)):
            own = (batch.y == c).nonzero().squeeze(1)
            if len(own):
                found = elbo(x[own], vae(x[own], noise[:, own]), self.settings.likelihood)
                found = found if batch.weight is None else batch.weight[own] * found
                total = total - found.sum()
        return total / x.numel()

    def end_task(self, batches: Iterable[Batch]) -> None:  # noqa: ARG002 (nothing is protected)
        """Drop what only the task's training needed."""
        self.descent.end()

    @torch.no_grad()
    def predict(
        self, x: Tree, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Bounds on log p(x | c) as logits, among the task's classes if it is given.

        Raises `ConfigError` if the task scenario lacks the task.
        """
        chosen = answered(self, scenario)
        if task is None and chosen.name == "task":
            raise task_needed("gen-classifier in the task scenario")
        return of_classes(chosen, self._scored(task, x), task)

    @torch.no_grad()
    def scores(self, x: Tree) -> Tensor:
        """(batch, classes) bounds on log p(x | c) of all classes."""
        return self._scored(None, x)

    def _scored(self, task: int | None, x: Tree) -> Tensor:
        bounds: Tensor = _Bounds(self._of(task), self._noise)(one_tensor(x, "an autoencoder"))
        return bounds

    @property
    def parts(self) -> dict[str, Any]:
        """The autoencoders of the task in training."""
        return {"loss": self._of(self.task)}

    @torch.no_grad()
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The loss on held-out samples of the task in training; the same draws for each."""
        x = one_tensor(batch.original, "an autoencoder")
        return {"loss": self._loss(x, self._noise[:1].to(x.dtype).expand(-1, len(x), -1), batch)}

    def export(self, task: int) -> nn.Module:
        """The bounds of a task's classes, on the CPU."""
        return copied(_Bounds(self._of(task), self._noise)).cpu().eval()

    @property
    def kept(self) -> int:
        """Number of learned values of all autoencoders."""
        return sum(p.numel() for p in self.vaes.parameters())

    def compression(self) -> float:
        """All that is kept / the target network."""
        return self.kept / self.target_weights

    def state_dict(self) -> State:
        """The autoencoders and, within a task, the optimiser."""
        own = {"heads": list(self.scenario.heads), "task": self.task}
        vaes = [dict(vae.state_dict()) for vae in self.vaes]
        return {**own, "vaes": vaes, **self.descent.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        self.scenario = Scenario(self.scenario.name, tuple(state["heads"]))
        self.task, self.vaes = state["task"], nn.ModuleList()
        for own in state["vaes"]:
            with torch.device("meta"):  # nothing is drawn
                vae = Vae(self.shape, self.settings)
            vae.load_state_dict({n: v.to(self.device).clone() for n, v in own.items()}, assign=True)
            self.vaes.append(vae)
        parameters = self._of(self.task).parameters() if self.vaes else ()
        self.descent.load_state_dict(parameters, state)
