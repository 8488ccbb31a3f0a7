"""How the task of an input is inferred where it is not given: the protocol, and all by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from hypermnesia.errors import ConfigError
from hypermnesia.registry import Registry, must_be

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hypermnesia.data.types import Batch, TaskSpec
    from hypermnesia.seeding import Generators
    from hypermnesia.state_files import State

__all__ = ["EVIDENCE", "Density", "Evidence", "is_density"]


class Evidence(Protocol):
    """How much speaks for each task, given an input alone.

    A class derives from this protocol, defines `log_evidence`, and overrides what else it needs: by
    default nothing is learned and nothing is kept. Its constructor takes the networks of all tasks
    (`AllTasks`), which the method trains, then keyword arguments: settings, each a frozen
    dataclass, and what a method's builder passes on (`generators`, `sample_shape`, ...). It draws
    from random streams of its own, so that the networks are those of `hnet`. It is `from_samples`
    where `begin_task` and `end_task` alone, without an update, make a task's; and `of_inputs` where
    it has no use for logits.
    """

    from_samples: bool = False
    of_inputs: bool = False

    def begin_task(self, spec: TaskSpec) -> None:
        """Prepare for a new task, whose network the memory does not have yet."""
        return

    def continue_task(self, task: int, spec: TaskSpec) -> None:
        """Prepare to go on with a task that has ended."""
        return

    def extend_task(self, task: int, spec: TaskSpec) -> None:
        """Prepare to go on with a task that gets further outputs; `spec` counts all of them."""
        self.continue_task(task, spec)

    def draw(self, task: int, count: int, generator: torch.Generator) -> Tensor | None:
        """(count, entries) flat inputs like those of a task; None where it keeps none such."""
        return None

    makes_outliers: bool = False
    """Whether `outliers` are made, by the sample, so that ranks cannot share a mini-batch."""

    def outliers(self, x: Any, generators: Generators) -> tuple[Tensor, float] | None:
        """Inputs made of a mini-batch's that its network must learn to be unsure of, and a weight.

        None, as by default: there are none.
        """
        return None

    def update(self, batch: Batch) -> Mapping[str, Tensor]:
        """Take one iteration after the network's; returns detached scalars."""
        return {}

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Keep what is needed of the task; `batches` are as of `Method.end_task`."""
        return

    def remove_task(self, task: int) -> None:
        """Forget all that is kept of a task; later ones count one less.

        Raises `ConfigError`, where a class does not override it.
        """
        raise ConfigError(
            "the evidence must be one that can forget a task",
            got=type(self).__name__,
            hint="make the learner with infer_task='likelihood', 'entropy' or None",
        )

    def merge(self, other: Any) -> None:
        """Take over what another evidence of this class keeps of its tasks, as further ones.

        Raises `ConfigError`, where a class does not override it.
        """
        rule, hint = "the evidence must be kept apart for each task", "or set infer_task=None"
        got = f"{type(self).__name__}, which is learned for all together"
        raise ConfigError(f"to merge, {rule}", got=got, hint=f"use 'entropy', {hint}")

    def logits(self, x: Tensor) -> Tensor | None:
        """(tasks, batch, widest head) to answer (batch, *sample) inputs; None: the networks' own.

        -inf stands beyond a task's outputs.
        """
        return None

    def log_evidence(self, x: Tensor, logits: Tensor) -> Tensor:
        """(tasks, batch) how much speaks for each task, in nats if a likelihood; the largest wins.

        For (batch, *sample) inputs and (tasks, batch, widest head) logits of all networks.
        """
        ...

    def module(self) -> nn.Module:
        """A module of its own, on the CPU, that gives `log_evidence` of the same two arguments.

        It is what a file of the whole learner holds; raises `ConfigError` where there is none.
        """
        rule, hint = "the evidence must be one that a file can hold", "export tasks one by one"
        raise ConfigError(rule, got=type(self).__name__, hint=hint)

    @property
    def parts(self) -> dict[str, Any]:
        """What is learned by a loss of its own, by that loss's name; each has a `state_dict`."""
        return {}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of `parts` on held-out samples of the task in training."""
        return {}

    @property
    def kept(self) -> int:
        """Number of learned values."""
        return 0

    def state_dict(self) -> State:
        """Everything that a later call depends on, but the networks."""
        return {}

    def load_state_dict(self, state: State) -> None:
        """Put an evidence where `state_dict` found the other."""
        return


class Density(Protocol):
    """What can be fitted to (n, D) inputs and gives (n,) log densities, as scikit-learn's do."""

    def fit(self, x: Any) -> Any:
        """Fit it to inputs."""

    def score_samples(self, x: Any) -> Any:
        """Log densities of inputs."""


def is_density(given: object) -> bool:
    """Whether tasks are to be inferred by an object of the user's."""
    return all(hasattr(given, name) for name in ("fit", "score_samples"))


EVIDENCE: Registry[type[Evidence]] = Registry("evidence", "evidence", must_be("a class"))
"""Every evidence's class, by name."""

EVIDENCE.add("entropy", "hypermnesia.evidence.entropy:Entropy")
EVIDENCE.add("likelihood", "hypermnesia.evidence.likelihood:TaskLikelihoods")
EVIDENCE.add("gaussian", "hypermnesia.evidence.gaussian:TaskGaussians")
EVIDENCE.add("filters", "hypermnesia.evidence.filters:FilterGaussians")
EVIDENCE.add("ridge", "hypermnesia.evidence.ridge:TaskRidge")
EVIDENCE.add("best", "hypermnesia.evidence.best:BestEvidence")
EVIDENCE.add("sum", "hypermnesia.evidence.best:SumEvidence")
EVIDENCE.add("classifier", "hypermnesia.evidence.classifier:TaskClassifier")
EVIDENCE.add("agreement", "hypermnesia.evidence.disagreement:Agreement")
EVIDENCE.add("mutual-information", "hypermnesia.evidence.disagreement:MutualInformation")
