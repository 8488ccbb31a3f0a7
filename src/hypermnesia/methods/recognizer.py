"""A plain classifier that tells tasks apart, current samples from generated ones of earlier tasks.

The task inference of HNET+TIR, von Oswald et al. 2020 (arXiv 1906.00695).
"""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.methods.base import accuracy
from hypermnesia.methods.baselines import Finetune
from hypermnesia.methods.generative import Replayed
from hypermnesia.methods.replay import ReplaySettings


class TaskRecognizer(Finetune):
    """A classifier with an output for each task, trained from the second task on.

    Args:
        network: template, left unchanged; its weights are the initial ones.
        replay: how replayed samples enter the loss.
        plain: the other keyword arguments of `Finetune`.
    """

    def __init__(self, network: nn.Module, *, replay: ReplaySettings, **plain: Any) -> None:
        super().__init__(network, "class", **plain)  # of one class each
        self.replay = replay

    def learn(self, x: Tensor, replayed: Replayed | None) -> dict[str, Tensor]:
        """A step on (batch, *sample) inputs of the current task against replayed ones."""
        if replayed is None:
            return {}
        tasks = len(self.scenario.heads)
        current = torch.full((len(x),), tasks - 1, device=x.device)
        scores = self._scores(torch.cat([x, replayed.x]))
        labels = torch.cat([current, cast(Tensor, replayed.tasks)])
        losses = F.cross_entropy(scores, labels, reduction="none")
        loss = self.replay.mix(losses[: len(x)].mean(), losses[len(x) :].mean(), tasks)
        self._optimize(loss)
        return {
            "task_loss": loss.detach(),
            "task_accuracy": accuracy(scores.detach(), labels),
        }
