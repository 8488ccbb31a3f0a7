"""Plain networks: `finetune`, `joint` and `separate`, the bounds of every method."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from hypermnesia.compute import Precision, autocast
from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.methods.base import Loss, Prediction, TaskSpec, accuracy, answered, task_needed
from hypermnesia.nets import with_columns, with_outputs
from hypermnesia.optimizers import OptimizerSettings, gradient_norm
from hypermnesia.regularization.lookahead import parameters_of
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State


class Descent:
    """Down the losses of one task after another; the optimiser starts afresh with each.

    Args:
        settings: the optimiser, and how its step size changes within a task.
    """

    def __init__(self, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.optimizer: Optimizer | None = None
        self.iteration = self.iterations = 0

    def begin(self, parameters: Iterable[Tensor], iterations: int) -> None:
        """A fresh optimiser for a task of so many steps."""
        self.iteration, self.iterations = 0, iterations
        self.optimizer = self.settings.build(parameters)

    def backward(self, loss: Tensor) -> None:
        """Give the parameters the gradients of a scalar loss, clipped, for `step` to follow."""
        optimizer = cast(Optimizer, self.optimizer)
        self.settings.schedule_step(optimizer, self.iteration, self.iterations)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.settings.clip_gradients(optimizer)

    def step(self) -> Tensor:
        """Step by the gradients that the parameters have by now; returns their norm, a scalar."""
        optimizer = cast(Optimizer, self.optimizer)
        norm = gradient_norm(p.grad for p in parameters_of(optimizer))
        optimizer.step()
        self.iteration += 1
        return norm

    def end(self) -> None:
        """Drop the optimiser and the gradients."""
        if self.optimizer is not None:
            self.optimizer.zero_grad()
        self.optimizer = None
        self.iteration = self.iterations = 0

    def state_dict(self) -> State:
        """The optimiser, and how far the task is."""
        return {
            "optimizer": self.optimizer.state_dict() if self.optimizer else None,
            "iteration": self.iteration,
            "iterations": self.iterations,
        }

    def load_state_dict(self, parameters: Iterable[Tensor], state: State) -> None:
        """Go on where `state_dict` was taken, of whatever else its state holds."""
        self.end()
        if state["optimizer"] is not None:
            self.begin(parameters, state["iterations"])
            cast(Optimizer, self.optimizer).load_state_dict(state["optimizer"])
            self.iteration = state["iteration"]


class Finetune:
    """One plain network trained on each task in turn: the lower bound.

    Its last layer has the scenario's columns: a head for each task (`task`), one head for all
    (`domain`), or all classes seen so far (`class`).

    Args:
        network: template, left unchanged; its weights are the initial ones.
        scenario: how the task's samples are answered.
        optimizer: started afresh with every task.
        generators: the streams `head` and `dropout` are used.
        device: where everything lives.
        head: name of the output layer; the last linear layer by default.
        precision: of the network in training.
        criterion: (scores, columns of the answers) -> scalar loss.
    """

    trains_on: Literal["task", "all"] = "task"

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
        self.template, self.network = network, copy.deepcopy(network).to(device)
        self.descent, self.generators = Descent(optimizer), generators
        self.head, self.criterion = head, criterion
        self.device, self.precision = device, precision

    def begin_task(self, spec: TaskSpec) -> None:
        """Widen the last layer if the scenario wants more columns; a fresh optimiser.

        Raises:
            TargetError: the last layer would have to be widened but cannot be.
        """
        self.scenario = self.scenario.add(spec.outputs)
        self.network = with_outputs(
            self.network, self.scenario.columns, self.generators["head"], self.head
        )
        self.descent.begin(self.network.parameters(), spec.iterations)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """A step of the optimiser on the loss of a mini-batch."""
        scores = self._scores(batch.x)
        candidates = self._masked(scores, batch.task)
        labels = self.scenario.labels(batch.y, batch.task)
        loss = self._loss(self.criterion(candidates, labels), scores, batch)
        added = self._optimize(loss)
        return {"loss": loss.detach(), "accuracy": accuracy(candidates.detach(), labels), **added}

    def _scores(self, x: Tensor) -> Tensor:
        """(batch, columns) in training, of all columns."""
        self.network.train()
        with self.generators.as_global("dropout"), autocast(self.precision, self.device):
            scores: Tensor = self.network(x).float()
        return scores

    def _masked(self, scores: Tensor, task: Tensor) -> Tensor:
        """Scores without those that are no candidates of each sample's task."""
        return scores.masked_fill(~self.scenario.active(task), -torch.inf)

    def _optimize(self, loss: Tensor) -> dict[str, Tensor]:
        """A step down the loss; returns what is to be reported of it."""
        self.descent.backward(loss)
        return self._step()

    def _loss(self, own: Tensor, scores: Tensor, batch: Batch) -> Tensor:  # noqa: ARG002
        """What is differentiated: the task's `own` loss, and what a method adds to it.

        `scores` are (batch, columns), of all columns.
        """
        return own

    def _step(self) -> dict[str, Tensor]:
        """Step by the gradients of the loss; returns what is to be reported of it."""
        return {"gradient": self.descent.step()}

    def end_task(self, batches: Iterable[Batch]) -> None:  # noqa: ARG002 (nothing is protected)
        """Drop what only the task's training needed; nothing is protected."""
        self.descent.end()

    @torch.no_grad()
    def predict(
        self, x: Tensor, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Scores over the candidate columns of the task, or over all columns without it.

        Raises:
            ConfigError: another scenario, or the task was not given in the task scenario.
        """
        answered(self, scenario)
        if task is None and self.scenario.name == "task":
            raise task_needed("a network with a head for each task")
        self.network.eval()
        scores = self.network(x)
        return Prediction(
            scores if task is None else scores[:, self.scenario.candidates(task)], None
        )

    def export(self, task: int) -> nn.Module:
        """The network with the outputs among which a task is answered, on the CPU."""
        return with_columns(self.network, self.scenario.candidates(task), self.head).cpu().eval()

    def compression(self) -> float:
        """1: the network itself."""
        return 1.0

    def state_dict(self) -> State:
        """The network and its optimiser."""
        return {
            "heads": list(self.scenario.heads),
            "network": dict(self.network.state_dict()),
            **self.descent.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        self.scenario = Scenario(self.scenario.name, tuple(state["heads"]))
        self.network = self._of_this_width(state["network"])
        self.network.load_state_dict(state["network"])
        self.descent.load_state_dict(self.network.parameters(), state)

    def _of_this_width(self, saved: Mapping[str, Tensor]) -> nn.Module:
        """A network as wide as the tasks so far want it, for the values in `saved`."""
        if not self.scenario.heads:
            return copy.deepcopy(self.template).to(self.device)
        columns, anything = self.scenario.columns, torch.Generator()
        if not any(value.shape[:1] == (columns,) for value in saved.values()):
            raise ValueError(f"{columns} outputs, of which its tensors know nothing")
        return with_outputs(self.template, columns, anything, self.head).to(self.device)


class Joint(Finetune):
    """The same network trained on the data of all tasks at once: the upper bound."""

    trains_on: Literal["task", "all"] = "all"


class Separate:
    """A plain network for each task, which the task's name chooses; grows with the tasks.

    Every network starts from the template.

    Args:
        network: template, left unchanged.
        scenario: `task`, in which the task is given when predicting.
        optimizer: this and the others are as of `Finetune`, for each network.
        generators: see there.
        device: see there.
        head: see there.
        precision: see there.
        criterion: see there.
    """

    trains_on: Literal["task", "all"] = "task"
    answers: tuple[ScenarioName, ...] = ("task",)

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
        self._new_learner = partial(
            Finetune,
            network,
            "task",
            optimizer=optimizer,
            generators=generators,
            device=device,
            head=head,
            precision=precision,
            criterion=criterion,
        )
        self.learners: list[Finetune] = []

    def begin_task(self, spec: TaskSpec) -> None:
        """A new network."""
        self.scenario = self.scenario.add(spec.outputs)
        self.learners.append(self._new_learner())
        self.learners[-1].begin_task(spec)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """A step of the newest network, which knows no other task."""
        own = replace(batch, task=torch.zeros_like(batch.task))
        return self.learners[-1].update(own)

    def end_task(self, batches: Iterable[Batch]) -> None:
        """The network is never trained again."""
        self.learners[-1].end_task(batches)

    def predict(
        self, x: Tensor, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Scores of the given task's network for (batch, *sample) inputs.

        Raises:
            ConfigError: the task was not given, or another scenario was.
        """
        answered(self, scenario)
        if task is None:
            raise task_needed("separate")
        scores = self.learners[task].predict(x, 0).scores
        return Prediction(scores, torch.full((len(x),), task, device=x.device))

    def export(self, task: int) -> nn.Module:
        """A task's network, on the CPU."""
        return self.learners[task].export(0)

    def compression(self) -> float:
        """The number of tasks: nothing is shared."""
        return float(len(self.learners))

    def state_dict(self) -> State:
        """All networks."""
        return {"learners": [learner.state_dict() for learner in self.learners]}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        self.scenario, self.learners = Scenario(self.scenario.name), []
        for saved in state["learners"]:
            self.learners.append(self._new_learner())
            self.learners[-1].load_state_dict(saved)
            self.scenario = self.scenario.add(saved["heads"][0])
