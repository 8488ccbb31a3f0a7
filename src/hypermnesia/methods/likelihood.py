"""`hnet-lik`: the task under whose autoencoder a sample is likeliest.

One hypernetwork makes a whole variational autoencoder, encoder and decoder, for every task, beside
the one that makes the classifiers. Nothing is replayed: an autoencoder knows its own task only.
With equal priors the task of the largest p(x | task) is Bayes' choice, and bounds on its logarithm
stand for it. The method is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.hypernet.all_tasks import AllTasks
from hypermnesia.hypernet.groups import TaskGroup
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.methods.base import State, TaskSpec
from hypermnesia.methods.inferred import InferredTaskMethod
from hypermnesia.methods.sampler import Sampler
from hypermnesia.methods.vae_memory import Autoencoders, VaeMemory
from hypermnesia.precision import Precision
from hypermnesia.seeding import Generators
from hypermnesia.vae import BoundSettings, bound, draw_noise, vae_loss

View = Callable[[Tensor], Tensor]
"""(batch, *sample) inputs -> the same as the autoencoders are shown them."""


def as_it_is(x: Tensor) -> Tensor:
    """The view of (batch, *sample) inputs themselves."""
    return x


class TaskLikelihoods(VaeMemory):
    """Bounds on the likelihood of samples under every task.

    Args:
        autoencoders: what they are, and how they are learned.
        bound: which bound.
        generators: streams called `likelihood/...` are used.
        device: where everything lives.
        precision: of what training makes and runs; bounds are in float32.
        view: what the autoencoders see of (batch, *sample) inputs, the same for every task.
    """

    def __init__(
        self,
        autoencoders: Autoencoders,
        *,
        bound: BoundSettings,
        generators: Generators,
        device: torch.device,
        precision: Precision,
        view: View = as_it_is,
    ) -> None:
        own = generators.under("likelihood")
        everything: dict[str, Any] = {"generators": own, "device": device, "precision": precision}
        super().__init__(autoencoders, generated=("*",), **everything)
        self.bound, self.view, self.all_tasks = bound, view, AllTasks(self.memory)
        # The same draws for every sample, task and call: bounds are compared, and stay the same.
        self._noise = draw_noise(
            bound.samples, 1, self.vae.settings.latent, torch.Generator().manual_seed(0)
        ).to(self.device)

    def begin_task(self, iterations: int) -> None:
        """Make room for one more task, and protect the earlier ones."""
        self.all_tasks.forget()
        super().begin_task(iterations)

    def learn(self, x: Tensor) -> dict[str, Tensor]:
        """One iteration on (batch, *sample) inputs of the task in training."""
        return super().learn(self.view(x))

    def bounds(self, x: Tensor) -> Float[Tensor, "tasks batch"]:
        """A bound on log p(x | task), in nats, of (batch, *sample) inputs under every task."""
        target, likelihood = self.memory.target, self.vae.settings.likelihood

        def question(group: TaskGroup, some: Tensor) -> Tensor:
            noise = self._noise.to(some.dtype).expand(-1, len(some), -1)
            layout, buffers = group.layout, group.buffers
            output = target.each(group.weights, some, noise, layout=layout, buffers=buffers)
            return bound(some, noise, output, likelihood, self.bound)

        return self.all_tasks.ask(self.view(x), question)

    def loss(self, x: Tensor) -> Tensor:
        """The loss of the task in training on (batch, *sample) inputs held out; the same draws."""
        seen = self.view(x)
        noise = self._noise.to(seen.dtype).expand(-1, len(x), -1)
        output = self.memory.run(self.trainer.task, seen, noise, training=False)
        return vae_loss(seen, output, self.vae.settings.likelihood)


class HypernetLikelihood(InferredTaskMethod):
    """A hypernetwork's classifiers, of which that of the likeliest task answers.

    Args:
        network: template of the classifiers, left unchanged.
        scenario: `task`, the scenario of its training whatever it answers in.
        autoencoders: one a task, and how they are learned.
        bound: which bound on the likelihood.
        generators: the streams of `HypernetMethod` and of `TaskLikelihoods`.
        device: where everything lives.
        precision: of what training makes and runs; answers are in float32.
        view: what the autoencoders see of inputs; the inputs themselves by default.
        settings: the other keyword arguments of `HypernetMethod`.
    """

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        autoencoders: Autoencoders,
        bound: BoundSettings,
        generators: Generators,
        device: torch.device,
        precision: Precision = "float32",
        view: View = as_it_is,
        **settings: Any,
    ) -> None:
        own: dict[str, Any] = {"generators": generators, "device": device, "precision": precision}
        super().__init__(network, scenario, **own, **settings)
        self.likelihoods = TaskLikelihoods(autoencoders, bound=bound, view=view, **own)

    @property
    def sampler(self) -> Sampler:
        """The autoencoders, whose decoders give samples."""
        return self.likelihoods

    def begin_task(self, spec: TaskSpec) -> None:
        """Give the task a classifier and an autoencoder, and protect the earlier ones."""
        super().begin_task(spec)
        self.likelihoods.begin_task(spec.iterations)

    def continue_task(self, task: int, iterations: int) -> None:
        """Go on learning a task that has ended, its autoencoder too; all others are protected."""
        super().continue_task(task, iterations)
        self.likelihoods.continue_task(task, iterations)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """A step of the classifier and, on images as they are, one of the autoencoder."""
        return super().update(batch) | self.likelihoods.learn(batch.original)

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Nothing to keep but the hypernetworks and the embeddings."""
        super().end_task(batches)
        self.likelihoods.end_task()

    @property
    def memories(self) -> dict[str, WeightMemory]:
        """The memories of classifiers and of autoencoders."""
        return super().memories | {"vae_loss": self.likelihoods.memory}

    @torch.no_grad()
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of both on samples held out."""
        return super().losses(batch) | {"vae_loss": self.likelihoods.loss(batch.original)}

    def evidence(self, x: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 (the classifiers' say)
        """(tasks, batch): the bound under every task."""
        return self.likelihoods.bounds(x)

    def compression(self) -> float:
        """(Both |θ| + embeddings) / |W| of one classifier."""
        return (self.memory.kept + self.likelihoods.memory.kept) / self.memory.largest

    def state_dict(self) -> State:
        """Both memories and, within a task, the states of their training."""
        return super().state_dict() | {"likelihoods": self.likelihoods.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        super().load_state_dict(state)
        self.likelihoods.load_state_dict(state["likelihoods"])
