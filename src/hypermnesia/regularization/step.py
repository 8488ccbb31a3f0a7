"""The iteration of von Oswald et al., "Continual learning with hypernetworks", ICLR 2020.

Everything in Hypermnesia that learns through a hypernetwork takes this step, whatever its loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from hypermnesia import tree
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.optimizers import (
    OptimizerSettings,
    Reduce,
    gradient_norm,
    identity,
    parameters_of,
)
from hypermnesia.regularization.drift import LEAST, Multiplier
from hypermnesia.regularization.head import HeadStep, head_step
from hypermnesia.regularization.lookahead import LOOKAHEADS, Lookahead, Rows
from hypermnesia.regularization.output import (
    REGULARIZERS,
    OutputRegularizer,
    OverDraws,
    Parameters,
    RegularizerSettings,
    Snapshot,
)
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State


@dataclass(frozen=True)
class _Protection:
    """What protects the earlier tasks while one is in training."""

    snapshot: Snapshot
    lookahead: Lookahead
    penalty: OutputRegularizer
    multiplier: Multiplier | None  # None where β is a number


_LEAST = 1e-12  # squares of a task's weights, for a bound
_REGULARIZER, _ADAM = RegularizerSettings(), OptimizerSettings()


class HypernetTrainer:
    """Trains one task of a `WeightMemory`, as a rule the newest; the others are held in place.

    Several networks of a task, as one for each of its classes, are tasks that train together.

    Args:
        memory: the hypernetwork and the tasks so far.
        regularizer: how earlier tasks are protected.
        optimizer: for θ, and for shared parameters if there are any.
        embedding_optimizer: for the embeddings in training.
        generators: the streams `subset` and `rows` are used, where tasks or rows are drawn.
        train_shared: go on training shared parameters after the first task.
    """

    def __init__(
        self,
        memory: WeightMemory,
        *,
        regularizer: RegularizerSettings = _REGULARIZER,
        optimizer: OptimizerSettings = _ADAM,
        embedding_optimizer: OptimizerSettings = _ADAM,
        generators: Generators,
        train_shared: bool = False,
    ) -> None:
        self.memory, self.regularizer, self.generators = memory, regularizer, generators
        self.theta_settings, self.embedding_settings = optimizer, embedding_optimizer
        self.train_shared = train_shared
        self.optimizers: dict[str, tuple[OptimizerSettings, Optimizer]] = {}
        self.protection: _Protection | None = None
        self.head: HeadStep | None = None
        self.tasks: list[int] = []
        self.held: list[int] = []
        self.iteration = self.iterations = 0

    @property
    def task(self) -> int:
        """The task in training, or trained last; the first of several."""
        return self.tasks[0]

    def begin_task(
        self, iterations: int, tasks: Sequence[int] = (), *, partly: bool = False
    ) -> None:
        """Take the snapshot θ* and start the optimisers afresh.

        Args:
            iterations: how many steps will follow, for schedules.
            tasks: those to train, which the memory has; its newest by default. All others are
                protected, those that came later too.
            partly: what follows is only a part of what they learned: they are protected too, and
                their conditions stay.
        """
        self.tasks = [*tasks] or [self.memory.tasks - 1]
        partly = partly and self.regularizer.beta != 0
        self.held = [t for t in range(self.memory.tasks) if partly or t not in self.tasks]
        snapshot = None
        # θ* are the tensors so far, which another memory may share; θ goes on in copies of them.
        parameters = {name: p.detach() for name, p in self.memory.hypernet.named_parameters()}
        for parameter in self.memory.hypernet.parameters():
            parameter.data = parameter.detach().clone()
        if self.held and self.regularizer.beta != 0:
            snapshot = self._snapshot(parameters, self.memory.condition(self.held).detach())
        self._start(iterations, snapshot)

    def _snapshot(self, parameters: Parameters, conditions: Tensor) -> Snapshot:
        plans = [self.memory.plans[task] for task in self.held]
        return Snapshot(parameters, conditions, plans)

    def _start(self, iterations: int, snapshot: Snapshot | None) -> None:
        self.iteration, self.iterations = 0, iterations
        theta, memory = self.theta_settings, self.memory
        free = [task for task in self.tasks if task not in self.held]
        conditions = [p for task in free for p in memory.condition.parameters(task)]
        shared = [p for p in memory.target.shared.values() if p.requires_grad]
        groups: dict[str, tuple[OptimizerSettings, list[nn.Parameter]]] = {
            "theta": (theta, list(memory.hypernet.parameters())),
            "embedding": (self.embedding_settings, [*dict.fromkeys(conditions)]),
            "shared": (theta, shared if self.train_shared or not self.held else []),
        }
        self.optimizers = {
            name: (settings, settings.build(parameters))
            for name, (settings, parameters) in groups.items()
            if parameters
        }
        self.protection = None
        self.head = head_step(memory, self.optimizers["theta"][1], theta, self.regularizer)
        if snapshot is not None:
            settings, regularizer = self.regularizer, REGULARIZERS[self.regularizer.kind]
            ahead = LOOKAHEADS[settings.lookahead](self.optimizers["theta"][1])
            penalty = regularizer(memory.hypernet, snapshot, settings, self.generators)
            if (redrawn := getattr(memory.condition, "redrawn", None)) is not None:
                draws = snapshot.conditions, self.generators["protected"]
                penalty = OverDraws(penalty, partial(redrawn, *draws))
            # What a task learned before is weighed against what it learns now, not bounded.
            follows = settings.beta == "auto" and not set(self.tasks) & set(self.held)
            multiplier = self._multiplier() if follows else None
            self.protection = _Protection(snapshot, ahead, penalty, multiplier)

    def _multiplier(self) -> Multiplier:
        changes = self.memory.target.pretrained
        return Multiplier(self.regularizer.drift * self._size(), of_changes=changes)

    @torch.no_grad()
    def _size(self) -> float:
        """Return the sum of the squared weights of the earlier task that has the smallest."""
        return max(min(map(self.memory.size, self.held)), _LEAST)  # for what has learned nothing

    def step(self, loss_of: Callable[[], Tensor], reduce: Reduce = identity) -> dict[str, Tensor]:
        """Take one iteration (von Oswald et al. 2020, equation 2).

        Args:
            loss_of: the loss of the task in training on a mini-batch, made through `memory`.
            reduce: makes the gradients of a part of the mini-batch those of all of it.

        Returns:
            Detached scalars: `loss`; from the second task on `penalty`, R(θ + Δθ); `gradient`,
            the norm of what the optimisers were given.
        """
        named = dict(self.memory.hypernet.named_parameters())
        leaves = [p for _, optimizer in self.optimizers.values() for p in parameters_of(optimizer)]
        for settings, optimizer in self.optimizers.values():
            settings.schedule_step(optimizer, self.iteration, self.iterations)

        # 1. The task's loss and its gradients for θ, e_T and what is shared.
        if self.head is None or reduce is not identity:
            loss = loss_of()
            found = reduce(torch.autograd.grad(loss, leaves, materialize_grads=True))
        else:
            loss = self.head.loss(loss_of)
            found = self.head.placed(torch.autograd.grad(loss, leaves, allow_unused=True), leaves)
        gradients = self._clipped(found)
        of_theta = dict(zip(named, gradients, strict=False))
        metrics = {"loss": loss.detach()}

        if self.protection is not None:
            # 2. Lookahead: where the optimiser would take θ by that gradient alone.
            ahead = self.protection.lookahead(gradients[: len(named)])
            point = dict(zip(named, ahead, strict=True))
            # 3. How far the weights of earlier tasks would have moved there: g becomes g + β ∇R.
            metrics |= self._protect(point, of_theta)

        # 4. The steps: θ by g + β ∇R, the embedding (and what is shared) by its own gradient.
        metrics["gradient"] = gradient_norm(
            gradient.finish() if isinstance(gradient, HeadStep) else gradient
            for gradient in gradients
        )
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = None if isinstance(gradient, HeadStep) else gradient
        for _, optimizer in self.optimizers.values():
            optimizer.step()
        self.iteration += 1
        return metrics

    def _protect(self, point: dict[str, Rows], gradients: Parameters) -> dict[str, Tensor]:
        """Add β ∇R at a point to the gradients; returns R, and β where it follows R."""
        assert self.protection is not None  # noqa: S101 - the caller's case
        beta, multiplier = self.regularizer.beta, self.protection.multiplier
        if multiplier is None:
            fixed = LEAST if beta == "auto" else beta
            return {"penalty": self.protection.penalty(point, gradients, fixed)}
        drift = self.protection.penalty(point, gradients, multiplier.beta)
        found = {"penalty": drift, "beta": torch.tensor(multiplier.beta)}
        multiplier.follow(float(drift))
        return found

    @property
    def holds(self) -> bool:
        """Whether earlier tasks are within their bound; always where there is none."""
        multiplier = self.protection.multiplier if self.protection else None
        return multiplier is None or multiplier.holds

    def _clipped(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """Hold the task's gradients, those of each optimiser, to its `clip`.

        Before the lookahead, so that Δθ is the step that the clipped gradient makes; and without
        β ∇R, so that a steep loss does not scale down what protects the earlier tasks.
        """
        remaining = iter(gradients)
        return [
            clipped
            for settings, optimizer in self.optimizers.values()
            for clipped in settings.clipped([*islice(remaining, len(parameters_of(optimizer)))])
        ]

    @torch.no_grad()
    def _draw_back(self) -> None:
        """Bring θ so far back towards θ* that the bound holds, where β had no time to see to it.

        R is nearly quadratic in the way from θ*.
        """
        if (protection := self.protection) is None or protection.multiplier is None:
            return
        bound = protection.multiplier.bound
        theta = dict(self.memory.hypernet.named_parameters())
        for _ in range(5):
            unused = {name: torch.zeros_like(p) for name, p in theta.items()}
            with torch.enable_grad():
                distance = float(protection.penalty(theta, unused, 0.0))
            if distance <= 1.1 * bound:
                return
            way = (bound / distance) ** 0.5
            for name, parameter in theta.items():
                parameter.lerp_(protection.snapshot.parameters[name], 1 - way)

    def end_task(self) -> None:
        """Drop what only the task's training needed."""
        for _, optimizer in self.optimizers.values():
            optimizer.zero_grad()
        self.memory.target.release()
        self.head, self.optimizers = None, {}  # whose memory the way back needs
        self._draw_back()
        self.protection = None
        self.iteration = self.iterations = 0

    def state_dict(self) -> State:
        """Return snapshot, optimisers and the position within a task."""
        snapshot = self.protection.snapshot if self.protection else None
        multiplier = self.protection.multiplier if self.protection else None
        return {
            "snapshot": snapshot.parameters if snapshot else None,
            "conditions": snapshot.conditions if snapshot else None,
            "tasks": self.tasks,
            "held": self.held,
            **({"beta": multiplier.beta} if multiplier else {}),
            "iteration": self.iteration,
            "iterations": self.iterations,
            "optimizers": {name: o.state_dict() for name, (_, o) in self.optimizers.items()},
        }

    def load_state_dict(self, state: State) -> None:
        """Continue where `state_dict` was taken; the memory is loaded before."""
        self.tasks = [*state["tasks"]]
        others = [task for task in range(self.memory.tasks) if task not in self.tasks]
        self.held = [*state.get("held", others)]  # a state of before has none
        if not state["optimizers"]:
            self.end_task()
            return
        snapshot = None
        if state["snapshot"] is not None:
            saved = state["snapshot"], state["conditions"]
            snapshot = self._snapshot(*tree.to(saved, self.memory.device))
        self._start(state["iterations"], snapshot)
        self.iteration = state["iteration"]
        if self.protection and self.protection.multiplier:
            self.protection.multiplier.beta = state["beta"]
        for name, (_, optimizer) in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
