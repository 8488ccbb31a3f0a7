"""`hnet`: a network for each task, its weights made by one hypernetwork; the task is given.

von Oswald et al., "Continual learning with hypernetworks", ICLR 2020, arXiv 1906.00695.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import TargetError
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.methods.base import (
    Loss,
    Prediction,
    State,
    TaskSpec,
    accuracy,
    answered,
    task_needed,
)
from hypermnesia.methods.trainer import HypernetTrainer
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.precision import Precision
from hypermnesia.regularizers import RegularizerSettings
from hypermnesia.seeding import Generators


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
    def memories(self) -> dict[str, WeightMemory]:
        """What is learned, by the name of the loss that it is learned by."""
        return {"loss": self.memory}

    @torch.no_grad()
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of the task in training on samples held out, by the names of `memories`."""
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
