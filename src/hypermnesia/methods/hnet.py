"""`hnet` and its kin: a network for each task, its weights made by one hypernetwork.

L(θ, e_T) + β/(T-1) Σ_{t<T} ‖h(e_t; θ*) - h(e_t; θ + Δθ)‖²: von Oswald et al., "Continual learning
with hypernetworks", ICLR 2020, arXiv 1906.00695. The step is `HypernetTrainer.step`. `hnet` is
given the task of every sample; `hnet-ent`, `hnet-lik` and `hnet-tir` infer it, each by an evidence
of its own (`hypermnesia.evidence`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.compute import Precision, widened
from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError, TargetError
from hypermnesia.evidence import Evidence
from hypermnesia.evidence.autoencoders import Sampler
from hypermnesia.evidence.entropy import learned_share, unsureness
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.hypernet.memory import StartName, WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.target import Buffers
from hypermnesia.methods.base import (
    Loss,
    Prediction,
    TaskSpec,
    answered,
    loss_of,
    not_in_parts,
    reported,
    task_needed,
)
from hypermnesia.optimizers import OptimizerSettings, Reduce, identity
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.regularization.refit import erase, merge, take_in
from hypermnesia.regularization.step import HypernetTrainer
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.tree import Tree, logits_of, to

if TYPE_CHECKING:
    from hypermnesia.methods.rehearsal import Rehearsal

_log = logging.getLogger(__name__)
_ALMOST_OFF = (
    "of networks that learn to be unsure of outliers almost all units are off where a new "
    "embedding starts at the mean: set hypernet.embedding_start=normal"
)
Old = tuple[Tensor, Tensor] | None
"""Inputs that are rehearsed, and their (n, outputs) targets."""


class _TaskIsGiven(Evidence):
    """The evidence of `hnet`, which has none."""

    from_samples = True

    def remove_task(self, task: int) -> None:  # noqa: ARG002
        return

    def merge(self, other: Any) -> None:  # noqa: ARG002
        return

    def log_evidence(self, x: Tensor, logits: Tensor) -> Tensor:  # noqa: ARG002
        raise task_needed("hnet")


class HypernetMethod:
    """Task-conditioned hypernetwork with an output regulariser.

    The streams `hypernet`, `embedding`, `dropout`, `subset` and `rows` are used.

    Args:
        network: template of the target networks, left unchanged.
        scenario: `task`, the scenario of its training whatever it answers in.
        optimizer: for θ and shared parameters.
        embedding_optimizer: for the current task's embedding.
        generated: name patterns of the parameters that the hypernetwork makes; all tasks share
            the rest.
        head: name of the output layer; the last linear layer by default.
        outputs: how many the network has as it is, if known: a task with as many needs no new head.
        train_shared: go on training shared parameters after the first task.
        precision: of the target network and the hypernetwork's head in training.
        compile: train through `torch.compile`, which pays for convolutions.
        criterion: (logits or values, targets) -> scalar loss.
        start: `pretrained` for weights that start at those of the network.
        evidence: (networks of all tasks) -> how the task is inferred; None to require the task.
    """

    trains_on: Literal["task", "all"] = "task"
    answers_untrained = True

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
        outputs: int | None = None,
        train_shared: bool = False,
        precision: Precision = "float32",
        compile: bool = False,
        criterion: Loss = F.cross_entropy,
        start: StartName = "scratch",
        evidence: Callable[[AllTasks], Evidence] | None = None,
    ) -> None:
        self.scenario = Scenario(scenario)
        self.generators, self.criterion = generators, criterion
        own: dict[str, Any] = {"device": device, "precision": precision, "compile": compile}
        own |= {"outputs": outputs, "start": start}
        own |= {"generated": generated, "head": head}
        self.memory, self.all_tasks = self._networks(network, hypernet, own)
        own = {"regularizer": regularizer, "train_shared": train_shared, "generators": generators}
        own |= {"optimizer": optimizer, "embedding_optimizer": embedding_optimizer}
        self.trainer = HypernetTrainer(self.memory, **own)
        self.evidence = evidence(self.all_tasks) if evidence else _TaskIsGiven()
        if self.evidence.makes_outliers and hypernet.embedding_start == "mean":
            _log.warning(_ALMOST_OFF)
        self.sampler: Sampler | None = getattr(self.evidence, "sampler", None)
        self.rehearsal: Rehearsal | None = None
        self.starting = False  # the embedding of the task in training is yet to be placed
        self.reduce: Reduce = identity
        self.answers: tuple[ScenarioName, ...] = (
            ("task", "domain", "class") if evidence else ("task",)
        )

    def _networks(
        self, network: nn.Module, hypernet: HypernetSettings, own: dict[str, Any]
    ) -> tuple[WeightMemory, AllTasks]:
        """What makes the networks of tasks, and what asks all of them."""
        memory = WeightMemory(network, hypernet, **own)
        return memory, AllTasks(memory)

    def begin_task(self, spec: TaskSpec) -> None:
        """Give the task an embedding and a head, and protect the earlier tasks."""
        self.all_tasks.forget()
        self.evidence.begin_task(spec)
        self.scenario = self.scenario.add(spec.outputs)
        self.memory.add_task(spec.outputs, self.generators)
        self.trainer.begin_task(spec.iterations)
        start = self.memory.settings.embedding_start
        self.starting = start == "nearest" and self.memory.tasks > 1

    def continue_task(self, task: int, iterations: int) -> None:
        """Go on learning a task that has ended; all others are protected as they are now.

        What the task itself learned from its earlier data is not protected.
        """
        self._go_on(task, TaskSpec(self.scenario.heads[task], iterations))

    def continue_in_part(self, task: int, iterations: int) -> None:
        """Go on with samples of some classes of a task, which is protected like the others."""
        self._go_on(task, TaskSpec(self.scenario.heads[task], iterations, partly=True))

    def _go_on(self, task: int, spec: TaskSpec) -> None:
        self.all_tasks.forget()
        self.starting = False
        self.evidence.continue_task(task, spec)
        self.trainer.begin_task(spec.iterations, [task], partly=spec.partly)

    def extend_task(self, task: int, classes: int, iterations: int, *, partly: bool) -> None:
        """Give a task's head further outputs, behind those that it has, and go on with it.

        All others are protected. Where old classes lack samples (`partly`), what the evidence
        draws of the task is answered as its network did before. Raises `ConfigError` if it draws
        nothing, `TargetError` for a head that cannot be resized.
        """
        outputs, draw = self.scenario.heads[task], self.evidence.draw
        if partly and draw(task, 1, torch.Generator()) is None:
            rule = "without samples of a task's old classes, its evidence must be able to draw some"
            hint = "add samples of all of them, or make the learner with infer_task='gaussian'"
            raise ConfigError(rule, got=type(self.evidence).__name__.lstrip("_"), hint=hint)
        self.all_tasks.forget()
        spec = TaskSpec(outputs + classes, iterations, partly=partly)
        self.evidence.extend_task(task, spec)
        weights = self.memory.weights(task).detach()
        self.memory.extend_task(task, classes, self.generators)
        heads = self.scenario.heads
        heads = (*heads[:task], outputs + classes, *heads[task + 1 :])
        self.scenario = replace(self.scenario, heads=heads)
        self.trainer.begin_task(iterations, [task])
        if partly:
            buffers = {name: value.clone() for name, value in self.memory.buffers[task].items()}
            self._rehearse(task, weights, buffers)

    def _rehearse(self, task: int, weights: Tensor, buffers: Buffers) -> None:
        from hypermnesia.methods.rehearsal import Rehearsal  # which few need

        self.rehearsal = Rehearsal(self.memory, task, self.evidence.draw, weights, buffers)

    def remove_task(self, task: int) -> None:
        """Forget a task: condition, head, buffers, and what the evidence keeps of it.

        The others answer as before, bit for bit; later ones count one less.
        """
        self.all_tasks.forget()
        self.evidence.remove_task(task)
        self.memory.remove_task(task)
        self.trainer.tasks, self.trainer.held = [], []
        heads = self.scenario.heads
        self.scenario = replace(self.scenario, heads=heads[:task] + heads[task + 1 :])

    def erase_task(self, task: int, iterations: int) -> None:
        """Bring the weights of a task to those of the nearest other one; all others are held."""
        self.all_tasks.forget()
        erase(self.memory, task, iterations, self.generators)

    def merge(self, other: HypernetMethod, iterations: int) -> list[float]:
        """Learn the tasks of another method by its weights alone; own ones are held.

        Returns ‖W - W*‖ / ‖W*‖ of each, for the weights W that are made in the place of W*.
        Raises `ConfigError` for other shared weights, or an evidence that cannot be taken over.
        """
        self.all_tasks.forget()
        self.evidence.merge(other.evidence)
        errors = merge(self.memory, other.memory, iterations, self.generators)
        heads = self.scenario.heads + other.scenario.heads
        self.scenario = replace(self.scenario, heads=heads)
        return errors

    def take_in(
        self,
        wanted: Sequence[tuple[int, Mapping[str, Tensor]]],
        iterations: int,
        importance: Mapping[str, Tensor] | None = None,
    ) -> list[float]:
        """Learn tasks by (outputs, parameters by name) alone; returns errors as `merge` does."""
        self.all_tasks.forget()
        made_of = self.memory, wanted, iterations, self.generators
        errors = take_in(*made_of, importance=importance)
        heads = self.scenario.heads + tuple(outputs for outputs, _ in wanted)
        self.scenario = replace(self.scenario, heads=heads)
        return errors

    def take_parts(self, reduce: Reduce) -> None:
        """Be given a part of every batch, and reduce gradients over its parts.

        Raises `ConfigError` for an evidence that is trained, or makes outliers.
        """
        if self.evidence.makes_outliers:
            rule = "outliers are made of whole mini-batches"
            hint = "train in one process, or set inference.outliers=null"
            raise ConfigError(rule, got="several ranks", hint=hint)
        if not self.evidence.from_samples:
            raise not_in_parts(f"the evidence {type(self.evidence).__name__}, which is trained")
        self.reduce = reduce

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one iteration on a mini-batch of the current task; see `HypernetTrainer.step`."""
        if self.starting:
            self._start(batch)
        seen: list[Tensor] = []
        old = None
        if self.rehearsal:
            old = self.rehearsal.like(batch.x, self.generators["rehearsal"])
        unsure = self.evidence.outliers(batch.x, self.generators)
        more = [each[0] for each in (old, unsure) if each is not None]
        x = torch.cat([batch.x, *more]) if more else batch.x

        def loss() -> Tensor:
            logits = self._logits(x)
            seen.append(logits[: len(batch)])
            if unsure is None:
                return self._loss(logits, batch, old)
            others = len(logits) - len(unsure[0])
            own = self._loss(logits[:others], batch, old)
            weight = unsure[1] * learned_share(logits[: len(batch)], batch.y)
            return own + weight * unsureness(logits[others:])

        metrics = self.trainer.step(loss, self.reduce)
        metrics |= reported(metrics["loss"], seen[0], batch.y)
        return {**metrics, **self.evidence.update(batch)}

    def _start(self, batch: Batch) -> None:
        """Place the embedding of a new task where the known one with the least loss is.

        It stays where it was drawn if no task has a head of its width. Raises `ConfigError` for a
        condition without `place`.
        """
        new, heads, condition = self.trainer.task, self.scenario.heads, self.memory.condition
        if (place := getattr(condition, "place", None)) is None:
            rule = "hypernet.embedding_start=nearest needs a condition with the method place"
            raise ConfigError(rule, got=type(condition).__name__, hint="define it")
        if known := [task for task in range(new) if heads[task] == heads[new]]:
            (losses,) = self.reduce([self.losses_of(batch, known)])
            place(new, known[int(losses.argmin())])
        self.all_tasks.forget()
        self.starting = False

    def _loss(self, logits: Tensor, batch: Batch, old: Old) -> Tensor:
        """What the task's networks are trained to minimise."""
        return self._data_loss(logits, batch, old)

    def _data_loss(self, logits: Tensor, batch: Batch, old: Old) -> Tensor:
        """The criterion on a batch and, behind it, what is rehearsed of old classes."""
        own = loss_of(self.criterion, logits[: len(batch)], batch.y, batch.weight)
        if old is None or self.rehearsal is None:
            return own
        share = self.rehearsal.share
        return (1 - share) * own + share * loss_of(self.criterion, logits[len(batch) :], old[1])

    def _logits(self, x: Tree) -> Tensor:
        """(batch, outputs) logits of the network of the task in training."""
        outputs = self.scenario.heads[self.trainer.task]
        with self.generators.as_global("dropout"):
            logits = widened(logits_of(self.memory.run(self.trainer.task, x, training=True)))
        dense = logits.ndim > 2 and self.criterion is not F.cross_entropy  # of positions too
        if logits.shape[1:] != (outputs,) and not dense:
            rule = f"the network must give (batch, {outputs}) for a task with {outputs} outputs"
            hint = "name its output layer (head)"
            raise TargetError(rule, got=tuple(logits.shape), hint=hint)
        return logits

    @property
    def parts(self) -> dict[str, Any]:
        """The memory of weights, and what the evidence learns."""
        return {"loss": self.memory, **self.evidence.parts}

    @property
    def holds(self) -> bool:
        """Whether earlier tasks are within the bound on their drift."""
        return self.trainer.holds

    @torch.no_grad()
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of the task in training on held-out samples."""
        x, old = batch.x, None
        if self.rehearsal:
            old = self.rehearsal.like(x, torch.Generator().manual_seed(0))  # comparable
            x = torch.cat([x, old[0]])
        logits = logits_of(self.memory.run(self.trainer.task, x, training=False))
        loss = self._data_loss(logits, batch, old)
        return {"loss": loss} | self.evidence.losses(batch)

    @torch.no_grad()
    def losses_of(self, batch: Batch, tasks: Sequence[int]) -> Tensor:
        """(tasks,) losses of the networks of tasks on labelled samples, all asked at once."""
        logits, heads = self.all_tasks(batch.x), self.scenario.heads
        own = [logits[task, :, : heads[task]] for task in tasks]
        return torch.stack([loss_of(self.criterion, each, batch.y) for each in own])

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Keep the hypernetwork and the embeddings, and what the evidence keeps."""
        self.trainer.end_task()
        self.evidence.end_task(batches)
        self.rehearsal = None

    @torch.no_grad()
    def logits_and_evidence(self, x: Tree) -> tuple[Tensor, Tensor]:
        """(tasks, batch, widest head) logits of all tasks, and (tasks, batch) log evidence."""
        given = self.evidence.logits(x)
        logits = self.all_tasks(x) if given is None else given
        return logits, self.evidence.log_evidence(x, logits)

    @torch.no_grad()
    def inferred(self, x: Tree) -> tuple[Tensor, Tensor]:
        """(batch, widest head) logits of the inferred task's network, and (batch,) tasks."""
        logits, evidence = self.logits_and_evidence(x)
        tasks = evidence.argmax(dim=0)
        return logits[tasks, torch.arange(len(tasks), device=tasks.device)], tasks

    @torch.no_grad()
    def predict(
        self, x: Tree, task: int | None = None, scenario: ScenarioName | None = None
    ) -> Prediction:
        """Logits of the given task's network or, outside the task scenario, the inferred one's.

        Raises `ConfigError` for another scenario, and if the task scenario lacks the task.
        """
        chosen = answered(self, scenario)
        if chosen.name == "task":
            if task is None:
                raise task_needed("hnet")
            logits = logits_of(self.memory.run(task, x, training=False))
            return Prediction(logits, torch.full((len(logits),), task, device=logits.device))
        if task is None:
            logits, tasks = self.inferred(x)
        else:
            logits = self.all_tasks(x)[task]
            tasks = torch.full((len(logits),), task, device=logits.device)
        return Prediction(chosen.place(logits, tasks), tasks)

    def export(self, task: int) -> nn.Module:
        """A task's network as a plain module, on the CPU."""
        return self.memory.export(task)

    def serving(self, task: int) -> nn.Module:
        """A task's network to ask, on the device, which shares what all tasks share."""
        return self.memory.serving(task)

    def rows(self, x: Tree, tasks: Tensor) -> Tensor | None:
        """(batch, widest head) logits of rows that each are of a task, as `per_row.together`."""
        from hypermnesia.hypernet.per_row import together  # which few need

        return together(self.memory, x, tasks) if self.memory.draws == 1 else None

    @property
    def kept(self) -> int:
        """|θ|, embeddings, shared parameters and what the evidence keeps."""
        return self.memory.kept + self.evidence.kept

    @property
    def kept_bytes(self) -> int:
        """Bytes of these: 4 a number of float32, or what the evidence says of its own."""
        own = getattr(self.evidence, "kept_bytes", 4 * self.evidence.kept)
        return int(4 * self.memory.kept + own)

    def compression(self) -> float:
        """`kept` / |W| of the largest target network."""
        return self.kept / self.memory.largest

    def state_dict(self) -> State:
        """The memory of all tasks, the evidence and, within a task, the state of its training."""
        state: State = {"heads": list(self.scenario.heads), "memory": self.memory.state_dict()}
        state["trainer"] = self.trainer.state_dict()
        if evidence := self.evidence.state_dict():
            state["evidence"] = evidence
        if self.rehearsal:
            state["rehearsal"] = self.rehearsal.state_dict()
        return state | ({"starting": True} if self.starting else {})

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        self.scenario = Scenario(self.scenario.name, tuple(state["heads"]))
        self.memory.load_state_dict(state["memory"])
        self.trainer.load_state_dict(state["trainer"])
        self.evidence.load_state_dict(state.get("evidence", {}))
        self.rehearsal, self.starting = None, "starting" in state
        if "rehearsal" in state:
            self._rehearse(self.trainer.task, **to(state["rehearsal"], self.memory.device))
