"""`likelihood`: the task under whose autoencoders a sample is likeliest.

task = argmax_t log p(x | t), Bayes' choice where tasks are equally frequent, by a bound on it. With
an autoencoder for each class c of a task, p(x | t) = mean_c p(x | c). One hypernetwork makes a
whole variational autoencoder, encoder and decoder, for every task or every class, beside the one
that makes the classifiers; it learns -ELBO_t(x), and nothing is replayed. The method is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.evidence import Evidence
from hypermnesia.evidence.autoencoders import AutoencoderSettings, VaeMemory
from hypermnesia.hypernet.ensemble import AllTasks, TaskGroup
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.vae import BoundSettings, BoxedOutput, Vae, bound, build_vae, draw_noise, elbo

View = Callable[[Tensor], Tensor]  #: (batch, *sample) inputs -> what the autoencoders are shown


@dataclass(frozen=True)
class LikelihoodSettings:
    """Whose autoencoders there are, and who answers.

    Raises `ConfigError` if the likelihood is to answer among classes without autoencoders.

    Attributes:
        of: what has an autoencoder of its own: each `task`, or each `class` of it.
        answer: what gives the class where the task is not given: the inferred task's `classifier`,
            or the `likelihood` itself, that of its classes.
    """

    of: Literal["task", "class"] = "task"
    answer: Literal["classifier", "likelihood"] = "classifier"

    def __post_init__(self) -> None:
        if self.answer == "likelihood" and self.of != "class":
            rule = "likelihood.answer=likelihood needs an autoencoder for each class"
            hint = "set likelihood.of=class, or likelihood.answer=classifier"
            raise ConfigError(rule, got=f"likelihood.of={self.of}", hint=hint)


_SEEN = 1000  # samples by which a fit is judged
_ONE_A_TASK, _ELBO = LikelihoodSettings(), BoundSettings()


class TaskLikelihoods(Evidence):
    """Bounds on the likelihood of samples under every task.

    Device and precision are those of `networks`, the classifiers; bounds are always in float32. The
    streams `vae` and `likelihood/...` are used. A `template` takes the place of the autoencoder
    that `vae` describes; `view` is what all of them see of (batch, *sample) inputs.
    """

    def __init__(
        self,
        networks: AllTasks,
        *,
        vae: AutoencoderSettings,
        bound: BoundSettings = _ELBO,
        likelihood: LikelihoodSettings = _ONE_A_TASK,
        sample_shape: Sequence[int],
        generators: Generators,
        template: Vae | None = None,
        view: View | None = None,
    ) -> None:
        self.settings, self.bound, self.view = likelihood, bound, view or (lambda x: x)
        of, own = networks.memory, generators.under("likelihood")
        where: dict[str, Any] = {"device": of.device, "precision": of.precision}
        template = template or build_vae(vae, sample_shape, generators)
        self.sampler = VaeMemory(template, vae, generated=("*",), generators=own, **where)
        self.memory, self.autoencoders = self.sampler.memory, AllTasks(self.sampler.memory)
        # Never drawn anew, as bounds are compared.
        draws = torch.Generator().manual_seed(0)
        noise = draw_noise(bound.samples, 1, self.sampler.vae.settings.latent, draws)
        self._noise = noise.to(self.memory.device)

    def begin_task(self, spec: TaskSpec) -> None:
        """Make room for the autoencoders of one more task, and protect the earlier ones."""
        self.autoencoders.forget()
        parts = spec.outputs if self.settings.of == "class" else 1
        self.sampler.begin_task(spec.iterations, parts)
        for buffers in self.memory.buffers[-parts:]:
            buffers.update(spec.buffers)

    def continue_task(self, task: int, spec: TaskSpec) -> None:
        """Go on with the autoencoders of a task; all others are protected, later ones too."""
        self.autoencoders.forget()
        self.sampler.continue_task(task, spec.iterations, partly=spec.partly)

    def extend_task(self, task: int, spec: TaskSpec) -> None:
        """Go on with a task's autoencoder; raises `ConfigError` for one of each class."""
        if self.settings.of == "class":
            rule = "likelihood.of=class gives a task the autoencoders that it begins with"
            raise ConfigError(rule, got="further classes", hint="set likelihood.of=task")
        self.continue_task(task, spec)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One iteration on samples of the task in training, not augmented."""
        return self.sampler.learn(self.view(batch.original), self._part(batch))

    def _part(self, batch: Batch) -> Tensor | None:
        if self.settings.of == "task":
            return None
        if batch.y.is_floating_point():
            rule = "likelihood.of=class is for targets that are classes"
            raise ConfigError(rule, got="other targets", hint="set likelihood.of=task")
        return batch.y

    def end_task(self, batches: Iterable[Batch]) -> None:  # noqa: ARG002
        """Drop what only the task's training needed."""
        self.sampler.end_task()

    def remove_task(self, task: int) -> None:
        """Drop the autoencoders of a task."""
        self.autoencoders.forget()
        self.sampler.remove_task(task)

    @torch.no_grad()
    def gain(self, task: int, batches: Iterable[Batch]) -> float:
        """By how many nats a held-out sample's elbo beats what the others' means alone would give.

        Of up to 1,000 samples of a task with one autoencoder: one that has not fitted gains
        nothing. Means as its decoder would give them, each entry's over the other samples.
        """
        x = torch.cat([self.view(batch.original) for batch in islice(batches, _SEEN)])[:_SEEN]
        first, likelihood = sum(self.sampler.parts[:task]), self.sampler.vae.settings.likelihood
        output = self.memory.run(first, (x, self._noise_for(x)), training=False)
        entries = output.inside if isinstance(output, BoxedOutput) else x.flatten(1)
        intensities = likelihood == "bernoulli"  # whose mean is not 0 or 1 for sure
        others = entries.sum(dim=0) - entries + 0.5 * intensities
        means = others / max(1, len(x) - 1 + intensities)
        decoded = (means.logit() if intensities else means)[None]
        certain = torch.zeros_like(output.mean)
        plain = output._replace(decoded=decoded, mean=certain, log_variance=certain)
        return float((elbo(x, output, likelihood) - elbo(x, plain, likelihood)).mean())

    def bounds(self, x: Tensor) -> Float[Tensor, "autoencoders batch"]:
        """A bound on log p(x), in nats, of (batch, *sample) inputs under every autoencoder."""
        target, likelihood = self.memory.target, self.sampler.vae.settings.likelihood

        def question(group: TaskGroup, some: Tensor) -> Tensor:
            noise, (layout, buffers) = self._noise_for(some), (group.layout, group.buffers)
            output = target.each(group.weights, (some, noise), layout=layout, buffers=buffers)
            return bound(some, noise, output, likelihood, self.bound)

        return self.autoencoders.ask(self.view(x), question)

    def _noise_for(self, x: Tensor) -> Tensor:
        """(draws, batch, latent): the same draws for every sample, task and call."""
        return self._noise.to(x.dtype).expand(-1, len(x), -1)

    def class_bounds(self, x: Tensor) -> Float[Tensor, "tasks batch classes"]:
        """The bounds of (batch, *sample) inputs by task; -inf beyond a task's own autoencoders."""
        by_task = torch.split(self.bounds(x), self.sampler.parts)
        return pad_sequence(list(by_task), batch_first=True, padding_value=-torch.inf).mT

    def task_bounds(self, by_class: Float[Tensor, "tasks batch classes"]) -> Tensor:
        """(tasks, batch) bounds on log p(x | task) = log mean_c p(x | c), from `class_bounds`."""
        classes = torch.tensor(self.sampler.parts, dtype=by_class.dtype, device=by_class.device)
        return by_class.logsumexp(dim=2) - classes.log()[:, None]

    def logits(self, x: Tensor) -> Tensor | None:
        """(tasks, batch, widest head): the bounds of the classes, where these answer."""
        return self.class_bounds(x) if self.settings.answer == "likelihood" else None

    def log_evidence(self, x: Tensor, logits: Tensor) -> Tensor:
        """(tasks, batch): the bound under every task."""
        answers = self.settings.answer == "likelihood"
        return self.task_bounds(logits if answers else self.class_bounds(x))

    @property
    def parts(self) -> dict[str, WeightMemory]:
        """The autoencoders."""
        return {"vae_loss": self.memory}

    @torch.no_grad()
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The loss on held-out samples of the task in training; the same draws for each."""
        seen, part = self.view(batch.original), self._part(batch)
        return {"vae_loss": self.sampler.loss(seen, self._noise_for(seen), part, training=False)}

    @property
    def kept(self) -> int:
        """Number of learned values."""
        return self.memory.kept

    def state_dict(self) -> State:
        """The autoencoders and, within a task, the state of their training."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: State) -> None:
        """Put a new evidence where `state_dict` found the other."""
        self.sampler.load_state_dict(state)
