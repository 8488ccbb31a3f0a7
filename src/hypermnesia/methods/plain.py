"""Plain networks: `finetune`, `joint` and `separate`, the bounds of every method.

L(θ) on the current task; on the data of all tasks; a network of its own for each task. As in van de
Ven et al. 2022 (Nat. Mach. Intell.).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.compute import Precision, autocast, widened
from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError
from hypermnesia.methods import base
from hypermnesia.methods.base import Loss, Prediction, TaskSpec, loss_of, network_logits, reported
from hypermnesia.modules import copied, dense, parts_in_eval, train
from hypermnesia.nets import with_columns, with_outputs
from hypermnesia.optimizers import Descent, OptimizerSettings, Reduce, identity
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.tree import Tree


class Finetune:
    """One plain network trained on each task in turn: the lower bound.

    It starts as a copy of `network`. Its last layer, `head` or by default the last linear one, has
    the scenario's columns: a head for each task (`task`), one for all (`domain`), or all classes so
    far (`class`). The streams `head` and `dropout` are used.
    """

    trains_on: Literal["task", "all"] = "task"
    answers_untrained = True
    regression: ClassVar[bool] = True  # whether targets may be values
    continues: ClassVar[bool] = True  # whether it can go on with a task that has ended

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        optimizer: OptimizerSettings,
        generators: Generators,
        device: torch.device,
        head: str | None = None,
        precision: Precision = "float32",
        criterion: Loss = F.cross_entropy,
    ) -> None:
        self.scenario = Scenario(scenario)
        self.answers: tuple[ScenarioName, ...] = (scenario,)
        self.template = dense(copied(network))
        self.network = copied(self.template).to(device)
        self.in_eval = parts_in_eval(network)
        self.descent, self.generators = Descent(optimizer), generators
        self.head, self.criterion, self.task = head, criterion, 0
        self.device, self.precision = device, precision

    def begin_task(self, spec: TaskSpec) -> None:
        """Widen the last layer if the scenario needs more columns; a fresh optimiser."""
        self.scenario = self.scenario.add(spec.outputs)
        columns, generator = self.scenario.columns, self.generators["head"]
        self.network = with_outputs(self.network, columns, generator, self.head)
        self._start(len(self.scenario.heads) - 1, spec.iterations)

    def continue_task(self, task: int, iterations: int) -> None:
        """Go on with a task that has ended; raises `ConfigError` for a method that cannot."""
        if not self.continues:
            rule = f"{type(self).__name__} cannot go on with a task that has ended"
            hint = "use hnet, hnet-ent, hnet-lik, separate, ewc or si, which can"
            raise ConfigError(rule, got=task, hint=hint)
        self._start(task, iterations)

    def _start(self, task: int, iterations: int) -> None:
        """Train a task with a fresh optimiser."""
        self.task = task
        self.descent.begin(self.network.parameters(), iterations)

    def take_parts(self, reduce: Reduce) -> None:
        """Be given a part of every batch, and reduce gradients over its parts."""
        self.descent.reduce = reduce

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take a step of the optimiser on the loss of a mini-batch."""
        logits = self._logits(batch.x)
        own, metrics = self._own_loss(logits, batch)
        return metrics | self._descend(self._loss(own, logits, batch))

    def _logits(self, x: Tree) -> Tensor:
        """(batch, columns) in training, of all columns."""
        train(self.network, self.in_eval)
        with self.generators.as_global("dropout"), autocast(self.precision, self.device):
            return widened(network_logits(self.network, x))

    def _own_loss(self, logits: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The criterion on (batch, columns) `logits` among the candidates, and its metrics."""
        if batch.y.is_floating_point():
            loss = self._value_loss(logits, batch)
            return loss, reported(loss, logits, batch.y)
        candidates = self._masked(logits, batch.task)
        labels = self.scenario.labels(batch.y, batch.task)
        loss = loss_of(self.criterion, candidates, labels, batch.weight)
        return loss, reported(loss, candidates, labels)

    def _value_loss(self, values: Tensor, batch: Batch) -> Tensor:
        """The criterion of (batch, columns) `values`, each task's own, in regression."""
        if not self.regression or self.scenario.name == "class":
            rule = f"{type(self).__name__} in the {self.scenario.name} scenario learns classes"
            hint = "use finetune, si or hnet in the task scenario"
            raise ConfigError(rule, got="targets that are values", hint=hint)
        tasks = [self.task] if self.trains_on == "task" else torch.unique(batch.task).tolist()
        loss = values.new_zeros(())
        for task in tasks:
            rows = (batch.task == task).nonzero().squeeze(1) if len(tasks) > 1 else slice(None)
            own, y = values[rows][:, self.scenario.candidates(task)], batch.y[rows]
            weight = None if batch.weight is None else batch.weight[rows]
            loss = loss + len(own) / len(values) * loss_of(self.criterion, own, y, weight)
        return loss

    def _masked(self, logits: Tensor, task: Tensor) -> Tensor:
        """Logits without those that are no candidates of each sample's task."""
        return logits.masked_fill(~self.scenario.active(task), -torch.inf)

    def _loss(self, own: Tensor, logits: Tensor, batch: Batch) -> Tensor:  # noqa: ARG002
        """What is differentiated: the task's `own` loss, and what a method adds to it."""
        return own

    def _descend(self, loss: Tensor) -> dict[str, Tensor]:
        """Step down the loss; returns what is to be reported of it."""
        self.descent.backward(loss)
        return {"loss": loss.detach()} | self._step()

    def _step(self) -> dict[str, Tensor]:
        """Step by the gradients of the loss; returns what is to be reported of it."""
        return {"gradient": self.descent.step()}

    def end_task(self, batches: Iterable[Batch]) -> None:  # noqa: ARG002 (nothing is protected)
        """Drop what only the task's training needed; nothing is protected."""
        self.descent.end()

    @torch.no_grad()
    def predict(
        self, x: Tree, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Logits over the candidate columns of the task, or over all columns without it.

        Raises `ConfigError` if the task scenario lacks the task, or for another scenario.
        """
        columns = base.columns_asked(self, task, scenario, "a network with a head for each task")
        return Prediction(network_logits(self.network.eval(), x)[:, columns], None)

    @property
    def parts(self) -> dict[str, Any]:
        """The network."""
        return {"loss": self.network}

    @torch.no_grad()
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The task's own loss on held-out samples."""
        logits = network_logits(self.network.eval(), batch.x)
        return {"loss": self._own_loss(logits, batch)[0]}

    def export(self, task: int) -> nn.Module:
        """The network with the outputs among which a task is answered, on the CPU."""
        return with_columns(self.network, self.scenario.candidates(task), self.head).cpu().eval()

    @property
    def weights(self) -> int:
        """Number of parameters of the network."""
        return sum(p.numel() for p in self.network.parameters())

    kept = weights

    def compression(self) -> float:
        """All that is kept / the network."""
        return self.kept / self.weights

    def state_dict(self) -> State:
        """The network and its optimiser."""
        own = {"heads": list(self.scenario.heads), "task": self.task}
        return {**own, "network": dict(self.network.state_dict()), **self.descent.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        self.scenario = Scenario(self.scenario.name, tuple(state["heads"]))
        self.task = state["task"]
        self.network = self._of_this_width(state["network"])
        self.network.load_state_dict(state["network"])
        self.descent.load_state_dict(self.network.parameters(), state)

    def _of_this_width(self, saved: Mapping[str, Tensor]) -> nn.Module:
        """A network as wide as the tasks so far want it, for the values in `saved`."""
        if not self.scenario.heads:
            return copied(self.template).to(self.device)
        columns = self.scenario.columns
        if not any(value.shape[:1] == (columns,) for value in saved.values()):
            raise ValueError(f"{columns} outputs, of which its tensors know nothing")
        return with_outputs(self.template, columns, torch.Generator(), self.head).to(self.device)


class Joint(Finetune):
    """The same network trained on the data of all tasks at once: the upper bound."""

    trains_on: Literal["task", "all"] = "all"
    continues = False  # there is no task but all of them


class Separate:
    """A `Finetune` for each task, from the same template, which the task's name chooses."""

    trains_on: Literal["task", "all"] = "task"
    answers: tuple[ScenarioName, ...] = ("task",)
    answers_untrained = True

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        optimizer: OptimizerSettings,
        generators: Generators,
        device: torch.device,
        head: str | None = None,
        precision: Precision = "float32",
        criterion: Loss = F.cross_entropy,
    ) -> None:
        own: dict[str, Any] = {"optimizer": optimizer, "generators": generators, "device": device}
        own |= {"head": head, "precision": precision, "criterion": criterion}
        self._new_learner = partial(Finetune, network, "task", **own)
        self.learners: list[Finetune] = []
        self.scenario, self.task = Scenario(scenario), 0
        self._reduce: Reduce = identity

    @property
    def _learner(self) -> Finetune:
        """That of the task in training."""
        return self.learners[self.task]

    def begin_task(self, spec: TaskSpec) -> None:
        """Make a new network."""
        self.scenario, self.task = self.scenario.add(spec.outputs), len(self.learners)
        self.learners.append(self._new_learner())
        self.take_parts(self._reduce)
        self._learner.begin_task(spec)

    def continue_task(self, task: int, iterations: int) -> None:
        """Go on with a task's network."""
        self.task = task
        self._learner.continue_task(0, iterations)

    def take_parts(self, reduce: Reduce) -> None:
        """Be given a part of every batch, and reduce gradients over its parts."""
        self._reduce = reduce
        for learner in self.learners:
            learner.take_parts(reduce)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take a step of the task's network, which knows no other task."""
        return self._learner.update(_alone(batch))

    def end_task(self, batches: Iterable[Batch]) -> None:
        """End the training of the task's network."""
        self._learner.end_task(batches)

    @property
    def parts(self) -> dict[str, Any]:
        """The task's network."""
        return self._learner.parts if self.learners else {}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Its loss on held-out samples."""
        return self._learner.losses(_alone(batch))

    def predict(
        self, x: Tree, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Logits of the given task's network; raises `ConfigError` without the task."""
        base.answered(self, scenario)
        if task is None:
            raise base.task_needed("separate")
        logits = self.learners[task].predict(x, 0).logits
        return Prediction(logits, torch.full((len(logits),), task, device=logits.device))

    def export(self, task: int) -> nn.Module:
        """A task's network, on the CPU."""
        return self.learners[task].export(0)

    @property
    def kept(self) -> int:
        """The parameters of all networks."""
        return sum(learner.kept for learner in self.learners)

    def compression(self) -> float:
        """The number of tasks: nothing is shared."""
        return float(len(self.learners))

    def state_dict(self) -> State:
        """All networks."""
        return {"task": self.task, "learners": [each.state_dict() for each in self.learners]}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        self.scenario, self.learners, self.task = Scenario(self.scenario.name), [], state["task"]
        for saved in state["learners"]:
            self.learners.append(self._new_learner())
            self.learners[-1].load_state_dict(saved)
            self.scenario = self.scenario.add(saved["heads"][0])
        self.take_parts(self._reduce)


def _alone(batch: Batch) -> Batch:
    """The batch as that of the only task."""
    return replace(batch, task=torch.zeros_like(batch.task))
