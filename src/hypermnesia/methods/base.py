"""The protocol of a continual-learning method, and the values that pass through it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.data.types import TaskSpec as TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.optimizers import Reduce
from hypermnesia.state_files import State
from hypermnesia.tree import Tree

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits or values, targets) -> scalar loss."""


@dataclass(frozen=True)
class Prediction:
    """Answers for a batch of inputs.

    Attributes:
        logits: (batch, k) over the scenario's candidate columns: the task's own classes
            (`task`), the shared classes (`domain`) or all classes seen (`class`); -inf where the
            inferred task has no such class. In regression the (batch, k) predicted values.
        tasks: (batch,) int64 task that each sample was answered with, given or inferred; None
            for a network that knows no tasks.
    """

    logits: Tensor
    tasks: Tensor | None


@runtime_checkable
class Method(Protocol):
    """A way to learn tasks one after another.

    The loop calls `begin_task`, `update` once an iteration and `end_task`, for each task in turn. A
    method owns its networks, optimisers and the order of its steps, never looks at the clock, the
    disk or the test data, and draws random numbers only from its own generators.

    Attributes:
        scenario: the scenario that it is trained for, with the heads of all tasks begun so far.
            A method with a network for each task is trained for `task`, whatever it answers in.
        trains_on: `task` if an iteration sees the current task's data, `all` if the method is
            given the data of all tasks at once (an upper bound).
        answers: the scenarios in which this one training can be evaluated, its own among them.

    A class may also say `answers_untrained = True`: that a task which has begun can be asked before
    its first update, in the task and the domain scenario. Forward transfer is measured of those.
    """

    scenario: Scenario
    trains_on: Literal["task", "all"]
    answers: tuple[ScenarioName, ...]

    def begin_task(self, spec: TaskSpec) -> None:
        """Make room for one more task; optimisers start afresh."""

    def continue_task(self, task: int, iterations: int) -> None:
        """Go on learning a task that has ended; optimisers start afresh.

        Args:
            task: its index.
            iterations: number of `update` calls that follow.

        Raises:
            ConfigError: the method cannot.
        """

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one iteration; returns detached scalars: `loss` and, for classes, `accuracy`.

        If the loss or a gradient is no finite number, one of the scalars is none either, for
        example the `gradient`'s norm: that is how the loop knows.
        """

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Keep what the next tasks must not change.

        Args:
            batches: the samples trained on since `begin_task`, each once and not augmented; to
                be read at most once, and read from the data only as they are asked for.
        """

    def predict(
        self, x: Tree, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Answer inputs; changes nothing.

        Args:
            x: (batch, *sample) inputs, or a pytree of such tensors.
            task: index of their task, which the task scenario needs; None to do without.
            scenario: one of `answers`; None for that of the training.

        Raises:
            ConfigError: another scenario, or the task was needed and not given.
        """

    @property
    def parts(self) -> dict[str, Any]:
        """What is learned by a loss of its own, by that loss's name; `loss` is the first.

        Each has `state_dict` and `load_state_dict`, by which early stopping restores the best.
        """

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of `parts` on held-out samples of the task in training; changes nothing."""

    def export(self, task: int) -> nn.Module:
        """A plain module that gives the logits of `predict(x, task)`, on the CPU, to evaluate."""

    @property
    def kept(self) -> int:
        """Number of learned values kept for all tasks."""

    def compression(self) -> float:
        """`kept` over the weights of one target network."""

    def state_dict(self) -> State:
        """Everything that a later `update` or `predict` depends on, at any iteration."""

    def load_state_dict(self, state: State) -> None:
        """Put a method where `state_dict` found the other: newly built, or the same one later."""


@runtime_checkable
class InfersTask(Protocol):
    """A method that infers the task, in the same way whatever scenario it then answers in."""

    def logits_and_evidence(self, x: Tree) -> tuple[Tensor, Tensor]:
        """(tasks, batch, widest head) logits of all tasks, and (tasks, batch) log evidence."""

    def inferred(self, x: Tree) -> tuple[Tensor, Tensor]:
        """(batch, widest head) logits over the classes of the inferred task, and (batch,) tasks."""


@runtime_checkable
class ScoresClasses(Protocol):
    """A method whose answers in every scenario are read off one score of each class."""

    def scores(self, x: Tree) -> Tensor:
        """(batch, classes) scores of the classes of all tasks."""


@runtime_checkable
class ContinuesInPart(Protocol):
    """A method that goes on with some classes of a task and keeps the others."""

    def continue_in_part(self, task: int, iterations: int) -> None:
        """`continue_task` with samples that lack some classes of the task, which are kept."""


@runtime_checkable
class BoundsDrift(Protocol):
    """A method that can bound how far earlier tasks drift."""

    @property
    def holds(self) -> bool:
        """Whether they are within the bound now; always where there is none."""


@runtime_checkable
class KeepsTasksApart(Protocol):
    """A method that keeps every task apart, so that one can be dropped, taken over or extended."""

    def remove_task(self, task: int) -> None:
        """Drop all that belongs to a task alone; others answer as before, later ones count less."""

    def erase_task(self, task: int, iterations: int) -> None:
        """Overwrite, in that many updates, what common weights hold of a task; others are held."""

    def merge(self, other: Any, iterations: int) -> list[float]:
        """Take over the tasks of another such method without data; returns errors of weights."""

    def extend_task(self, task: int, classes: int, iterations: int, *, partly: bool) -> None:
        """`continue_task` with so many classes more, numbered behind those that it has.

        `partly`: samples lack some that it had, which are kept; or raises `ConfigError`.
        """


@runtime_checkable
class TakesParts(Protocol):
    """A method that can be given a part of every batch, while other processes have the others."""

    def take_parts(self, reduce: Reduce) -> None:
        """Reduce gradients over the processes from now on; raises `ConfigError` if it cannot."""


def not_in_parts(what: str) -> ConfigError:
    """The error of a method that draws or counts by the sample, and so cannot take parts."""
    rule = "with several ranks, all that is learned must be by gradients of a mean over the batch"
    hint = "use hnet, hnet-ent, hnet-bayes, finetune, joint, separate, ewc, ewc-online, si or lwf"
    return ConfigError(rule, got=what, hint=hint)


def predictions(
    method: Method, x: Tree, task: int, scenarios: Iterable[ScenarioName]
) -> dict[ScenarioName, Prediction]:
    """What `method.predict` gives in each of the scenarios; what they share is computed once.

    Only in the task scenario is `task`, that of the inputs, given to the method.
    """
    found: dict[ScenarioName, Prediction] = {}
    if isinstance(method, ScoresClasses):
        scores, own = method.scores(x), method.scenario.named("task").candidates(task)
        for name in scenarios:
            of_task = (scores[:, own], task) if name == "task" else (scores, None)
            found[name] = of_classes(answered(method, name), *of_task)
        return found
    inferred: tuple[Tensor, Tensor] | None = None
    for name in scenarios:
        if name == "task" or not isinstance(method, InfersTask):
            found[name] = method.predict(x, task if name == "task" else None, name)
            continue
        inferred = method.inferred(x) if inferred is None else inferred
        found[name] = Prediction(answered(method, name).place(*inferred), inferred[1])
    return found


def answered(method: Method, scenario: ScenarioName | None) -> Scenario:
    """The scenario that `method` is to answer in, with its heads; None is that of its training.

    Raises `ConfigError` for one that is not among its `answers`.
    """
    if scenario is None:
        return method.scenario
    if scenario not in method.answers:
        known = ", ".join(method.answers)
        raise ConfigError(f"this training can be evaluated in: {known}", got=f"'{scenario}'")
    return method.scenario.named(scenario)


def columns_asked(
    method: Method, task: int | None, scenario: ScenarioName | None, kind: str
) -> slice:
    """The columns among which one network's answer is: those of a task, or all without one.

    Raises `ConfigError` if the task scenario lacks the task, or for a scenario not among `answers`.
    """
    answered(method, scenario)
    if task is not None:
        return method.scenario.candidates(task)
    if method.scenario.name == "task":
        raise task_needed(kind)
    return slice(None)


def over_tasks(scores: Tensor, heads: Sequence[int]) -> Tensor:
    """(batch, widest head) log Σ_t exp s_tc, of (batch, classes) scores of the heads in turn."""
    parts = torch.split(scores, list(heads), dim=1)
    wide = [F.pad(p, (0, max(heads) - p.shape[1]), value=-torch.inf) for p in parts]
    return torch.stack(wide).logsumexp(dim=0)


def of_classes(chosen: Scenario, scores: Tensor, task: int | None) -> Prediction:
    """What a method answers that scores every class by itself: (batch, classes) scores.

    They are those of the `task` alone if it is given, else of all tasks in turn; then the task is
    that of the best class or, where tasks share labels, left open.
    """
    if task is not None:
        tasks = torch.full((len(scores),), task, device=scores.device)
        return Prediction(scores if chosen.name == "task" else chosen.place(scores, tasks), tasks)
    if chosen.name == "domain":
        return Prediction(over_tasks(scores, chosen.heads), None)
    heads = torch.tensor(chosen.heads, device=scores.device)
    owners = torch.arange(len(heads), device=scores.device).repeat_interleave(heads)
    return Prediction(scores, owners[scores.argmax(dim=1)])


def bytes_kept(method: Method) -> int:
    """Bytes of the numbers kept: `method.kept_bytes`, or 4 a number, of float32."""
    return int(getattr(method, "kept_bytes", 4 * method.kept))


def task_needed(method: str) -> ConfigError:
    """The error of a `method` that must predict without the task and cannot."""
    hint = "give it, or use a method that infers it"
    return ConfigError(f"{method} must be given the task", got="none", hint=hint)


def network_logits(network: nn.Module, x: Tree) -> Tensor:
    """(batch, columns) logits of a plain network, for a tensor or a pytree of inputs."""
    return tree.logits_of(tree.forward(network, x))


def loss_of(criterion: Loss, outputs: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    """The criterion on (batch, k) outputs and (batch, ...) targets, a scalar.

    With (batch,) weights it is the mean over samples of weight times the sample's own loss.
    """
    if weight is None:
        return criterion(outputs, y)
    own = torch.vmap(lambda output, target: criterion(output[None], target[None]))
    return (weight * own(outputs, y)).mean()


def reported(loss: Tensor, logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """The `loss` and, of (batch, k) `logits` for (batch,) classes, the `accuracy`, detached."""
    metrics = {"loss": loss.detach()}
    if not labels.is_floating_point() and labels.ndim == 1:
        metrics["accuracy"] = (logits.detach().argmax(dim=-1) == labels).float().mean()
    return metrics
