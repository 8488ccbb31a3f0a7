"""Hypernetwork methods: a network for each task, its weights made by one hypernetwork.

`hnet`: a network for each task, its weights made by one hypernetwork; the task is given.

von Oswald et al., "Continual learning with hypernetworks", ICLR 2020, arXiv 1906.00695.

`hnet-ent`: the network that is surest of a sample answers it.

Von Oswald et al. 2020 (arXiv 1906.00695), section 2.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.compute import Precision
from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError, TargetError
from hypermnesia.evidence.entropy import (
    EntropySettings,
    entropy,
    entropy_slopes,
    in_doubt,
    mean_spreads,
    probes,
    rough_error,
    spreads_of,
)
from hypermnesia.hypernet.ensemble import AllTasks, TaskGroup
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.target import Buffers, Layout, Target
from hypermnesia.methods.base import Loss, Prediction, TaskSpec, accuracy, answered, task_needed
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.regularization.step import HypernetTrainer
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State


class HypernetMethod:
    """Task-conditioned hypernetwork with an output regulariser.

    Args:
        network: template of the target networks, left unchanged.
        scenario: `task`, in which the task is given when predicting.
        hypernet: sizes of the hypernetwork.
        regularizer: how earlier tasks are protected.
        optimizer: for θ (and for shared parameters, if any).
        embedding_optimizer: for the current task's embedding.
        generators: the streams `hypernet`, `embedding`, `dropout` and `subset` are used.
        device: where everything lives.
        generated: patterns of the names of the parameters that the hypernetwork makes; the rest
            is shared by all tasks.
        head: name of the output layer; the last linear layer by default.
        train_shared: go on training shared parameters after the first task.
        precision: of the target network and the hypernetwork's head in training.
        compile: train through `torch.compile`, which pays for convolutions.
        criterion: (scores, targets) -> scalar loss.
    """

    trains_on: Literal["task", "all"] = "task"
    answers: tuple[ScenarioName, ...] = ("task",)

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        hypernet: HypernetSettings,
        regularizer: RegularizerSettings,
        optimizer: OptimizerSettings,
        embedding_optimizer: OptimizerSettings,
        generators: Generators,
        device: torch.device,
        generated: Sequence[str] = ("*",),
        head: str | None = None,
        train_shared: bool = False,
        precision: Precision = "float32",
        compile: bool = False,
        criterion: Loss = F.cross_entropy,
    ) -> None:
        self.scenario = Scenario(scenario)
        self.generators, self.criterion = generators, criterion
        self.memory = WeightMemory(
            network,
            hypernet,
            generated=generated,
            head=head,
            device=device,
            precision=precision,
            compile=compile,
        )
        self.trainer = HypernetTrainer(
            self.memory,
            regularizer=regularizer,
            optimizer=optimizer,
            embedding_optimizer=embedding_optimizer,
            generators=generators,
            train_shared=train_shared,
        )

    def begin_task(self, spec: TaskSpec) -> None:
        """Give the task an embedding and a head, and protect the earlier ones.

        Raises:
            TargetError: the head would have to be resized but cannot be.
        """
        self.scenario = self.scenario.add(spec.outputs)
        self.memory.add_task(spec.outputs, self.generators)
        self.trainer.begin_task(spec.iterations)

    def continue_task(self, task: int, iterations: int) -> None:
        """Go on learning a task that has ended; optimisers start afresh.

        Its embedding and θ change; the weights of all other tasks are protected as they are now,
        those of later ones too. What its own data of before say is not protected.

        Args:
            task: its index.
            iterations: how many `update` calls will follow.
        """
        self.trainer.begin_task(iterations, [task])

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One iteration on a mini-batch of the current task; see `HypernetTrainer.step`.

        Returns:
            Its metrics, and the accuracy where the targets are classes.

        Raises:
            TargetError: the network does not give (batch, outputs) scores.
        """
        seen: list[Tensor] = []

        def loss() -> Tensor:
            seen.append(self._scores(batch.x))
            return self.criterion(seen[0], batch.y)

        metrics = self.trainer.step(loss)
        if batch.y.is_floating_point():
            return metrics
        return metrics | {"accuracy": accuracy(seen[0].detach(), batch.y)}

    def _scores(self, x: Tensor) -> Tensor:
        task = self.trainer.task
        outputs = self.scenario.heads[task]
        with self.generators.as_global("dropout"):
            scores: Tensor = self.memory.run(task, x, training=True).float()
        if scores.shape[1:] != (outputs,):
            raise TargetError(
                f"the network must give (batch, {outputs}) for a task with {outputs} outputs",
                got=tuple(scores.shape),
                cure="name its output layer (head)",
            )
        return scores

    @property
    def parts(self) -> dict[str, WeightMemory]:
        """What is learned, by the name of the loss that it is learned by."""
        return {"loss": self.memory}

    @torch.no_grad()
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of the task in training on samples held out, by the names of `parts`."""
        scores = self.memory.run(self.trainer.task, batch.x, training=False)
        return {"loss": self.criterion(scores, batch.y)}

    def end_task(self, batches: Iterable[Batch]) -> None:  # noqa: ARG002 (weights are kept, not data)
        """Nothing to keep but the hypernetwork and the embeddings."""
        self.trainer.end_task()

    @torch.no_grad()
    def predict(
        self, x: Tensor, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Scores of the given task's network.

        Raises:
            ConfigError: the task was not given, or another scenario was.
        """
        answered(self, scenario)
        if task is None:
            raise task_needed("hnet")
        scores = self.memory.run(task, x, training=False)
        return Prediction(scores, torch.full((len(x),), task, device=x.device))

    def export(self, task: int) -> nn.Module:
        """A task's network as a plain module, on the CPU."""
        return self.memory.export(task)

    def compression(self) -> float:
        """(|θ| + embeddings + shared parameters) / |W|."""
        return self.memory.compression()

    def state_dict(self) -> State:
        """The memory of all tasks and, within a task, the state of its training."""
        return {
            "heads": list(self.scenario.heads),
            "memory": self.memory.state_dict(),
            "trainer": self.trainer.state_dict(),
        }

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        self.scenario = Scenario(self.scenario.name, tuple(state["heads"]))
        self.memory.load_state_dict(state["memory"])
        self.trainer.load_state_dict(state["trainer"])


class InferredTaskMethod(HypernetMethod):
    """A hypernetwork with a head for each task, which is inferred where it is not given.

    A subclass says how, in `evidence`; what it learns for that is its own.

    Args:
        network: template of the target networks, left unchanged.
        scenario: `task`, the scenario of its training whatever it answers in.
        settings: the keyword arguments of `HypernetMethod`.
    """

    answers: tuple[ScenarioName, ...] = ("task", "domain", "class")

    def __init__(self, network: nn.Module, scenario: ScenarioName, **settings: Any) -> None:
        super().__init__(network, scenario, **settings)
        self.all_tasks = AllTasks(self.memory)

    def begin_task(self, spec: TaskSpec) -> None:
        """Give the task an embedding and a head, and protect the earlier ones."""
        self.all_tasks.forget()
        super().begin_task(spec)

    def continue_task(self, task: int, iterations: int) -> None:
        """Go on learning a task that has ended; all others are protected."""
        self.all_tasks.forget()
        super().continue_task(task, iterations)

    def scores_of_all(self, x: Tensor) -> Tensor:
        """(tasks, batch, widest head) of every task's network, -inf beyond its outputs."""
        return self.all_tasks(x)

    @abstractmethod
    def evidence(self, x: Tensor, scores: Tensor) -> Tensor:
        """How much speaks for each task; the most decides.

        Args:
            x: (batch, *sample) inputs.
            scores: (tasks, batch, widest head) of every task's network, -inf beyond its outputs.

        Returns:
            (tasks, batch), in nats where it is a likelihood or an entropy.
        """

    def logits_and_evidence(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(tasks, batch, widest head) of every task's network, and (tasks, batch) log evidence."""
        scores = self.scores_of_all(x)
        return scores, self.evidence(x, scores)

    def infer(self, x: Tensor, scores: Tensor) -> Tensor:
        """(batch,) int64 task of each sample; arguments as of `evidence`."""
        return self.evidence(x, scores).argmax(dim=0)

    @torch.no_grad()
    def inferred(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, widest head) scores of the inferred task's network, and (batch,) tasks."""
        scores = self.scores_of_all(x)
        tasks = self.infer(x, scores)
        return scores[tasks, torch.arange(len(x), device=x.device)], tasks

    @torch.no_grad()
    def predict(
        self, x: Tensor, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Scores of the network of the given task or, but in the task scenario, the inferred one.

        Inputs are (batch, *sample).

        Raises:
            ConfigError: another scenario, or the task was not given in the task scenario.
        """
        asked = answered(self, scenario)
        if asked.name == "task":
            return super().predict(x, task)
        if task is None:
            scores, tasks = self.inferred(x)
        else:
            scores = self.all_tasks(x)[task]
            tasks = torch.full((len(x),), task, device=x.device)
        return Prediction(asked.place(scores, tasks), tasks)


class HypernetEntropy(InferredTaskMethod):
    """The network that is surest of a sample answers it: `hnet-ent`.

    Args:
        network: template of the target networks, left unchanged.
        scenario: `task`, the scenario of its training whatever it answers in.
        inference: what counts as sure.
        settings: the keyword arguments of `HypernetMethod`.
    """

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        inference: EntropySettings,
        **settings: Any,
    ) -> None:
        super().__init__(network, scenario, **settings)
        self.inference = inference
        self.all_tasks = AllTasks(self.memory, screen=inference.screen)
        self.spreads: list[Tensor] = []

    def begin_task(self, spec: TaskSpec) -> None:
        """Give the task an embedding and a head, and protect the earlier ones.

        Raises:
            ConfigError: a head of another width, where networks are mixed.
        """
        mixed, heads = self.inference.criterion == "entropy-gradient", self.scenario.heads
        if mixed and heads and spec.outputs != heads[0]:
            raise ConfigError(
                "inference.criterion=entropy-gradient mixes networks whose heads are of one width",
                got=f"{heads[0]} and {spec.outputs} outputs",
                cure="use inference.criterion=entropy",
            )
        super().begin_task(spec)

    @torch.no_grad()
    def end_task(self, batches: Iterable[Batch]) -> None:
        """Keep the spread of the scores on each class, where they are calibrated by it."""
        super().end_task(batches)
        if self.inference.calibrated:
            task = self.trainer.task
            seen = [(self.memory.run(task, b.x, training=False), b.y) for b in batches]
            scores, labels = (torch.cat(each) for each in zip(*seen, strict=True))
            self.spreads[task : task + 1] = [mean_spreads(scores, labels)]

    def evidence(self, x: Tensor, scores: Tensor) -> Tensor:
        """(tasks, batch): the negative entropy, or how steeply the mixture's falls."""
        if self.inference.criterion == "entropy-gradient":
            return -self._slopes(x)
        return -self._entropies(scores)

    def scores_of_all(self, x: Tensor) -> Tensor:
        """(tasks, batch, widest head) scores; exact where a screen leaves a doubt who is surest."""
        if self.inference.screen is None:
            return super().scores_of_all(x)
        scores = self.all_tasks.screened(x)
        some = probes(len(x), x.device)
        error = rough_error(scores[:, some], self.all_tasks(x[some]))
        best, other_units = scores.argmax(dim=2, keepdim=True), None
        if self.spreads:
            second = scores.scatter(2, best, -torch.inf).argmax(dim=2, keepdim=True)
            other_units = self._units(second, scores)
        units = self._units(best, scores)
        self.all_tasks.settle(x, scores, in_doubt(scores, error, units, other_units))
        return scores

    def _entropies(self, scores: Tensor) -> Tensor:
        """(tasks, batch), of the calibrated scores."""
        return entropy(scores / self._units(scores.argmax(dim=2, keepdim=True), scores))

    def _units(self, classes: Tensor, scores: Tensor) -> Tensor:
        """What is compared is scores over these, for networks that answer `classes`."""
        temperature = scores.new_full((1, 1, 1), self.inference.temperature)
        if not self.spreads:
            return temperature
        return temperature * spreads_of(classes, self.spreads, scores.shape[2])

    def _slopes(self, x: Tensor) -> Tensor:
        """(tasks, batch) dH/dα_t where every task has the same share α_t."""
        target, groups = self.memory.target, self.all_tasks.groups
        mixture = torch.stack([g.weights.sum(dim=0) for g in groups]).sum(dim=0)
        mixture /= self.memory.tasks
        buffers = _mean(self.memory.buffers)

        def slopes(group: TaskGroup, some: Tensor) -> Tensor:
            network = partial(_scores, target, group.layout, buffers, some)
            return entropy_slopes(network, mixture, group.weights, self.inference.temperature)

        return self.all_tasks.ask(x, slopes)

    def compression(self) -> float:
        """(|θ| + embeddings + shared parameters + a spread for each class, if any) / |W|."""
        return (self.memory.kept + sum(map(len, self.spreads))) / self.memory.largest

    def state_dict(self) -> State:
        """The memory, the spreads and, within a task, the state of its training."""
        return super().state_dict() | {"spreads": self.spreads}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        super().load_state_dict(state)
        self.spreads = [spreads.to(self.memory.device) for spreads in state["spreads"]]


def _scores(target: Target, layout: Layout, buffers: Buffers, x: Tensor, weights: Tensor) -> Tensor:
    scores: Tensor = target(weights, x, layout=layout, buffers=buffers, training=False)
    return scores


def _mean(buffers: list[Buffers]) -> Buffers:
    """The mean of all tasks' buffers, which the mixed network uses; each keeps its type."""
    stacked = {name: torch.stack([each[name] for each in buffers]) for name in buffers[0]}
    return {name: s.double().mean(dim=0).to(s.dtype) for name, s in stacked.items()}
