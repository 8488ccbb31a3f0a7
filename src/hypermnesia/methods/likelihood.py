"""`hnet-lik`: the task under whose autoencoders a sample is likeliest.

One hypernetwork makes a whole variational autoencoder, encoder and decoder, for every task or every
class, beside the one that makes the classifiers. Nothing is replayed: an autoencoder knows its own
task only. With equal priors the task of the largest p(x | task) is Bayes' choice, and bounds on its
logarithm stand for it. The method is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from hypermnesia.compute import Precision
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError
from hypermnesia.evidence.autoencoders import AutoencoderSettings, Sampler, VaeMemory
from hypermnesia.hypernet.ensemble import AllTasks, TaskGroup
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.methods.base import TaskSpec
from hypermnesia.methods.hnet import InferredTaskMethod
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.vae import BoundSettings, Vae, bound, build_vae, draw_noise

View = Callable[[Tensor], Tensor]
"""(batch, *sample) inputs -> the same as the autoencoders are shown them."""


def as_it_is(x: Tensor) -> Tensor:
    """The view of (batch, *sample) inputs themselves."""
    return x


@dataclass(frozen=True)
class LikelihoodSettings:
    """Whose autoencoders there are, and who answers.

    Attributes:
        of: what has an autoencoder of its own: each `task`, or each `class` of it.
        answer: what says the class where the task is not given: the inferred task's `classifier`,
            or the `likelihood` itself, that of its classes.

    Raises:
        ConfigError: the likelihood is to tell classes apart that have none of their own.
    """

    of: Literal["task", "class"] = "task"
    answer: Literal["classifier", "likelihood"] = "classifier"

    def __post_init__(self) -> None:
        if self.answer == "likelihood" and self.of != "class":
            raise ConfigError(
                "likelihood.answer=likelihood needs an autoencoder for each class",
                got=f"likelihood.of={self.of}",
                cure="set likelihood.of=class, or likelihood.answer=classifier",
            )


class TaskLikelihoods(VaeMemory):
    """Bounds on the likelihood of samples under every task.

    Args:
        vae: the autoencoders.
        sample_shape: of a sample.
        of: what has one: each task, or each class of it.
        bound: which bound.
        generators: streams called `likelihood/...` are used.
        device: where everything lives.
        precision: of what training makes and runs; bounds are in float32.
        template: an autoencoder in place of the one that `vae` describes.
        view: what the autoencoders see of (batch, *sample) inputs, the same for every task.
    """

    def __init__(
        self,
        vae: AutoencoderSettings,
        *,
        sample_shape: Sequence[int],
        of: Literal["task", "class"] = "task",
        bound: BoundSettings,
        generators: Generators,
        device: torch.device,
        precision: Precision,
        template: Vae | None = None,
        view: View = as_it_is,
    ) -> None:
        template = template or build_vae(vae, sample_shape, generators)
        own = generators.under("likelihood")
        everything: dict[str, Any] = {"generators": own, "device": device, "precision": precision}
        super().__init__(template, vae, generated=("*",), **everything)
        self.of, self.bound, self.view = of, bound, view
        self.all_tasks = AllTasks(self.memory)
        # The same draws for every sample, task and call: bounds are compared, and stay the same.
        self._noise = draw_noise(
            bound.samples, 1, self.vae.settings.latent, torch.Generator().manual_seed(0)
        ).to(self.device)

    def begin_task(self, iterations: int, classes: int = 1) -> None:
        """Make room for one more task, of so many classes, and protect the earlier ones."""
        self._begin(iterations, classes if self.of == "class" else 1)

    def continue_task(self, task: int, iterations: int) -> None:
        """Learn a task, new or not; all others are protected, later ones too."""
        self.all_tasks.forget()
        super().continue_task(task, iterations)

    def learn_batch(self, batch: Batch) -> dict[str, Tensor]:
        """One iteration on samples of the task in training, as they are."""
        return self.learn(self.view(batch.original), self._part(batch))

    def _part(self, batch: Batch) -> Tensor | None:
        return batch.y if self.of == "class" else None

    def bounds(self, x: Tensor) -> Float[Tensor, "autoencoders batch"]:
        """A bound on log p(x), in nats, of (batch, *sample) inputs under every autoencoder."""
        target, likelihood = self.memory.target, self.vae.settings.likelihood

        def question(group: TaskGroup, some: Tensor) -> Tensor:
            noise = self._noise.to(some.dtype).expand(-1, len(some), -1)
            layout, buffers = group.layout, group.buffers
            output = target.each(group.weights, some, noise, layout=layout, buffers=buffers)
            return bound(some, noise, output, likelihood, self.bound)

        return self.all_tasks.ask(self.view(x), question)

    def class_bounds(self, x: Tensor) -> Float[Tensor, "tasks batch classes"]:
        """The bounds of (batch, *sample) inputs by task; -inf beyond a task's own autoencoders."""
        by_task = torch.split(self.bounds(x), self.parts)
        return pad_sequence(list(by_task), batch_first=True, padding_value=-torch.inf).mT

    def task_bounds(self, by_class: Float[Tensor, "tasks batch classes"]) -> Tensor:
        """(tasks, batch): a bound on log p(x | task), in nats, from what `class_bounds` gives.

        p(x | task) is the mean of p(x | class) over the task's classes.
        """
        classes = torch.tensor(self.parts, dtype=by_class.dtype, device=by_class.device)
        return by_class.logsumexp(dim=2) - classes.log()[:, None]

    def loss(self, batch: Batch) -> Tensor:
        """The loss of the task in training on samples held out; the same draws for each."""
        seen = self.view(batch.original)
        noise = self._noise.to(seen.dtype).expand(-1, len(seen), -1)
        return self._loss(seen, noise, self._part(batch), training=False)


_ONE_A_TASK = LikelihoodSettings()


class HypernetLikelihood(InferredTaskMethod):
    """A hypernetwork's classifiers, of which that of the likeliest task answers.

    Args:
        network: template of the classifiers, left unchanged.
        scenario: `task`, the scenario of its training whatever it answers in.
        vae: the autoencoders.
        sample_shape: of a sample.
        bound: which bound on the likelihood.
        likelihood: whose autoencoders there are, and who answers.
        generators: the streams of `HypernetMethod` and of `TaskLikelihoods`.
        device: where everything lives.
        precision: of what training makes and runs; answers are in float32.
        template: an autoencoder in place of the one that `vae` describes.
        view: what the autoencoders see of inputs; the inputs themselves by default.
        settings: the other keyword arguments of `HypernetMethod`.
    """

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        vae: AutoencoderSettings,
        sample_shape: Sequence[int],
        bound: BoundSettings,
        likelihood: LikelihoodSettings = _ONE_A_TASK,
        generators: Generators,
        device: torch.device,
        precision: Precision = "float32",
        template: Vae | None = None,
        view: View = as_it_is,
        **settings: Any,
    ) -> None:
        own: dict[str, Any] = {"generators": generators, "device": device, "precision": precision}
        super().__init__(network, scenario, **own, **settings)
        self.answering = likelihood
        self.autoencoders = TaskLikelihoods(
            vae,
            sample_shape=sample_shape,
            of=likelihood.of,
            bound=bound,
            template=template,
            view=view,
            **own,
        )

    @property
    def sampler(self) -> Sampler:
        """The autoencoders, whose decoders give samples."""
        return self.autoencoders

    def begin_task(self, spec: TaskSpec) -> None:
        """Give the task a classifier and autoencoders, and protect the earlier ones."""
        super().begin_task(spec)
        self.autoencoders.begin_task(spec.iterations, spec.outputs)
        self.autoencoders.memory.buffers[-1].update(spec.buffers)

    def continue_task(self, task: int, iterations: int) -> None:
        """Go on learning a task that has ended, its autoencoders too; all others are protected."""
        super().continue_task(task, iterations)
        self.autoencoders.continue_task(task, iterations)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """A step of the classifier and, on images as they are, one of the autoencoders."""
        return super().update(batch) | self.autoencoders.learn_batch(batch)

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Nothing to keep but the hypernetworks and the embeddings."""
        super().end_task(batches)
        self.autoencoders.end_task()

    @property
    def parts(self) -> dict[str, WeightMemory]:
        """The memories of classifiers and of autoencoders."""
        return super().parts | {"vae_loss": self.autoencoders.memory}

    @torch.no_grad()
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of both on samples held out."""
        return super().losses(batch) | {"vae_loss": self.autoencoders.loss(batch)}

    def scores_of_all(self, x: Tensor) -> Tensor:
        """(tasks, batch, widest head) of every task's classifier or, if they answer, bounds."""
        if self.answering.answer == "likelihood":
            return self.autoencoders.class_bounds(x)
        return super().scores_of_all(x)

    def evidence(self, x: Tensor, scores: Tensor) -> Tensor:
        """(tasks, batch): the bound under every task."""
        given = self.answering.answer == "likelihood"
        by_class = scores if given else self.autoencoders.class_bounds(x)
        return self.autoencoders.task_bounds(by_class)

    def compression(self) -> float:
        """(Both |θ| + embeddings) / |W| of one classifier."""
        return (self.memory.kept + self.autoencoders.memory.kept) / self.memory.largest

    def state_dict(self) -> State:
        """Both memories and, within a task, the states of their training."""
        return super().state_dict() | {"likelihoods": self.autoencoders.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        super().load_state_dict(state)
        self.autoencoders.load_state_dict(state["likelihoods"])
