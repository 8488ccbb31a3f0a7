"""`hnet-ent`: the network that is surest of a sample answers it.

Von Oswald et al. 2020 (arXiv 1906.00695), section 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.all_tasks import AllTasks
from hypermnesia.hypernet.groups import TaskGroup
from hypermnesia.hypernet.layout import Layout
from hypermnesia.hypernet.target import Buffers, Target
from hypermnesia.inference import (
    EntropySettings,
    entropy,
    entropy_slopes,
    mean_spreads,
    spreads_of,
)
from hypermnesia.methods.base import State, TaskSpec
from hypermnesia.methods.inferred import InferredTaskMethod
from hypermnesia.screening import in_doubt, probes, rough_error


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
