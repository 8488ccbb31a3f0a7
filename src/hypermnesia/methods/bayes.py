"""`hnet-bayes`: networks of a task are drawn, and their mean prediction answers.

One hypernetwork makes a distribution over the weights of each task (`hypermnesia.hypernet.noise`),
which is protected like the weights of `hnet`. Henning et al. 2021, "Posterior meta-replay for
continual learning" (arXiv 2103.01133): networks that are not sure of what they were not trained on
tell tasks apart better, the more so the smaller they are and the more tasks there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.evidence import EVIDENCE, Evidence
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.noise import (
    DrawnTasks,
    ImplicitMemory,
    NoiseSettings,
    RandomMemory,
    averaged,
)
from hypermnesia.methods.hnet import HypernetMethod, Old
from hypermnesia.tree import Tree

_NOISE, _ENTROPY = NoiseSettings(), EntropySettings()


class RandomHypernet(HypernetMethod):
    """Hypernetwork that makes a distribution over the networks of each task.

    The streams `noise` and `draws` are used beside those of `HypernetMethod`, whose arguments it
    takes, and `noise`.
    """

    memory: RandomMemory
    all_tasks: DrawnTasks

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        noise: NoiseSettings = _NOISE,
        **others: Any,
    ) -> None:
        self.noise = noise
        super().__init__(network, scenario, **others)

    def _networks(
        self, network: nn.Module, hypernet: HypernetSettings, own: dict[str, Any]
    ) -> tuple[WeightMemory, AllTasks]:
        make: type[RandomMemory] = RandomMemory
        if self.noise.form == "implicit":
            if hypernet.condition != "embedding":
                rule, hint = (
                    "implicit noise enters beside a task embedding",
                    "or noise.form=gaussian",
                )
                got = f"hypernet.condition={hypernet.condition}"
                raise ConfigError(rule, got=got, hint=f"set hypernet.condition=embedding, {hint}")
            options = {"noise": self.noise.size}
            hypernet = replace(hypernet, condition="noise", condition_options=options)
            make = ImplicitMemory
        memory = make(network, hypernet, self.noise, self.generators, **own)
        return memory, DrawnTasks(memory)

    def begin_task(self, spec: TaskSpec) -> None:
        """Give the task an embedding, a head and a prior, and protect the earlier tasks."""
        super().begin_task(spec)
        self.memory.take_prior(self.trainer.task)

    def _go_on(self, task: int, spec: TaskSpec) -> None:
        super()._go_on(task, spec)
        self.memory.take_prior(task)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one iteration, with newly drawn weights."""
        self.memory.values = batch.y.is_floating_point()
        return super().update(batch)

    def _loss(self, logits: Tensor, batch: Batch, old: Old) -> Tensor:
        loss = super()._loss(logits, batch, old)
        if not self.noise.kl:
            return loss
        return loss + self.noise.kl * self.memory.divergence(self.trainer.task)

    @torch.no_grad()
    def logits_and_evidence(self, x: Tree) -> tuple[Tensor, Tensor]:
        """(tasks, batch, widest head) logits of all tasks, and (tasks, batch) log evidence."""
        if (of_draws := getattr(self.evidence, "of_draws", None)) is None:
            return super().logits_and_evidence(x)
        every = self.all_tasks.each(x)
        return averaged(every, 2, values=self.memory.values), of_draws(every)

    def erase_task(self, task: int, iterations: int) -> None:  # noqa: ARG002
        """Raise `ConfigError`: only the weights of one network a task can be overwritten."""
        raise _one_network("erase a task")

    def extend_task(self, task: int, classes: int, iterations: int, *, partly: bool) -> None:  # noqa: ARG002
        """Raise `ConfigError`: only the weights of one network a task can be kept in part."""
        raise _one_network("extend a task")

    def merge(self, other: HypernetMethod, iterations: int) -> list[float]:  # noqa: ARG002
        """Raise `ConfigError`: only the weights of one network a task can be taken over."""
        raise _one_network("merge")


def _one_network(what: str) -> ConfigError:
    rule, hint = f"to {what}, each task must have one network", "use a learner without ensemble"
    return ConfigError(rule, got="networks that are drawn", hint=hint)


def hnet_bayes(
    network: nn.Module,
    scenario: ScenarioName,
    *,
    noise: NoiseSettings = _NOISE,
    inference: EntropySettings = _ENTROPY,
    **others: Any,
) -> RandomHypernet:
    """Build `RandomHypernet` that infers the task by `noise.evidence`.

    Raises `ConfigError` for `inference` settings that are of one network a task.
    """
    if inference.criterion != "entropy" or inference.screen is not None:
        rule = "drawn networks are asked for their mean prediction, in float32"
        hint = "set inference.criterion=entropy and inference.screen=null"
        got = f"criterion={inference.criterion}, screen={inference.screen}"
        raise ConfigError(rule, got=got, hint=hint)
    own = {"inference": inference} if noise.evidence == "entropy" else {}
    if not own and inference != _ENTROPY:
        rule, hint = "inference is for noise.evidence=entropy", "leave inference out"
        raise ConfigError(rule, got=f"noise.evidence={noise.evidence}", hint=hint)
    evidence: Callable[[AllTasks], Evidence] = partial(EVIDENCE[noise.evidence], **own)
    return RandomHypernet(network, scenario, noise=noise, evidence=evidence, **others)
