"""`hnet-sum`: evidence of three kinds for each class, added up, beside `hnet`'s networks.

score of class c of task t = w_c log p(c | x, t) + the score of `patch-sum` + w_b B_c(x)

p(c | x, t) is the softmax of the network that the hypernetwork makes for task t, which tells the
classes of a task apart best, and knows nothing of other tasks. B_c is the bound on log p(x | c) of
`hnet-lik`'s autoencoder of the class; with w_b = 0, the default, there is none. The task is that
with the largest log Σ_c exp score, and its class that with the largest score. The sum is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.evidence import Evidence
from hypermnesia.evidence.autoencoders import AutoencoderSettings
from hypermnesia.evidence.entropy import check_targets
from hypermnesia.evidence.likelihood import LikelihoodSettings, TaskLikelihoods
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.methods.patches import PatchSettings
from hypermnesia.methods.posterior import PatchPosterior, PosteriorSettings
from hypermnesia.seeding import Generators
from hypermnesia.settings import NonNegative
from hypermnesia.state_files import State
from hypermnesia.vae import BoundSettings

_DRAWN = 20  # mini-batches of the first task that patches are drawn from


@dataclass(frozen=True)
class SumSettings:
    """What each kind of evidence counts beside `posterior`'s.

    Attributes:
        classifier: w_c, weight of the networks' log probabilities.
        bound: w_b, weight of the bounds; 0 for no autoencoders.
    """

    classifier: NonNegative = 1.0
    bound: NonNegative = 0.0


class SumEvidence(Evidence):
    """Scores of all classes, from networks, patches and, if they count, autoencoders.

    The streams `patches` and those of `likelihood` are used.
    """

    def __init__(
        self,
        networks: AllTasks,
        *,
        network: nn.Module,
        patches: PatchSettings,
        posterior: PosteriorSettings,
        kinds: SumSettings,
        vae: AutoencoderSettings,
        bound: BoundSettings,
        sample_shape: Sequence[int],
        generators: Generators,
    ) -> None:
        self.networks, self.settings = networks, kinds
        own: dict[str, Any] = {"generators": generators, "device": networks.memory.device}
        self.patches = PatchPosterior(network, "task", patches=patches, posterior=posterior, **own)
        self.batches = 0  # that patches were drawn from
        self.bounds: TaskLikelihoods | None = None
        if kinds.bound:
            of_class = LikelihoodSettings(of="class")
            shared: dict[str, Any] = {"sample_shape": sample_shape, "generators": generators}
            self.bounds = TaskLikelihoods(
                networks, vae=vae, bound=bound, likelihood=of_class, **shared
            )

    def begin_task(self, spec: TaskSpec) -> None:
        """Make room for the task's classes."""
        self.patches.begin_task(spec)
        if self.bounds:
            self.bounds.begin_task(spec)

    def continue_task(self, task: int, spec: TaskSpec) -> None:
        """Go on with the classes of a task."""
        self.patches.continue_task(task, spec.iterations)
        if self.bounds:
            self.bounds.continue_task(task, spec)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Draw patches from the first mini-batches; a step of the autoencoders, if any."""
        check_targets(batch)
        if self.batches < _DRAWN:
            self.patches.gather(batch)
            self.batches += 1
        return self.bounds.update(batch) if self.bounds else {}

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Add the task's samples to the sums."""
        self.patches.end_task(batches)
        if self.bounds:
            self.bounds.end_task(())

    def logits(self, x: Tensor) -> Tensor:
        """(tasks, batch, widest head) scores of all classes; -inf beyond a task's own."""
        scores = self.settings.classifier * self.networks(x).log_softmax(dim=2)
        heads = list(self.patches.scenario.heads)
        for task, own in enumerate(torch.split(self.patches.scores(x).to(scores), heads, dim=1)):
            scores[task, :, : heads[task]] += own
        if self.bounds:
            scores += self.settings.bound * self.bounds.class_bounds(x)
        return scores

    def log_evidence(self, x: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        """(tasks, batch) log Σ_c exp score."""
        return logits.logsumexp(dim=2)

    @property
    def parts(self) -> dict[str, Any]:
        """The autoencoders, if any."""
        return dict(self.bounds.parts) if self.bounds else {}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The autoencoders' loss on held-out samples."""
        return self.bounds.losses(batch) if self.bounds else {}

    @property
    def kept(self) -> int:
        """Numbers of the sums, the filters, the Gaussians and the autoencoders."""
        return self.patches.kept + (self.bounds.kept if self.bounds else 0)

    @property
    def kept_bytes(self) -> int:
        """Bytes of these, of which the sums are in float64."""
        return self.patches.kept_bytes + (4 * self.bounds.kept if self.bounds else 0)

    def state_dict(self) -> State:
        """What is kept and, in the first task, what patches are drawn from."""
        bounds = self.bounds.state_dict() if self.bounds else None
        return {"patches": self.patches.state_dict(), "batches": self.batches, "bounds": bounds}

    def load_state_dict(self, state: State) -> None:
        """Put an evidence where `state_dict` found the other."""
        if not state:
            return
        self.patches.load_state_dict(state["patches"])
        self.batches = state["batches"]
        if self.bounds:
            self.bounds.load_state_dict(state["bounds"])
