"""`lwf`: a plain network that goes on answering new inputs as it did before the task.

1/T L(θ) + (1 - 1/T) λ D(answers before the task, answers now): Li, Hoiem, "Learning without
forgetting", ECCV 2016, arXiv 1606.09282; in three scenarios as in van de Ven, Tuytelaars, Tolias
2022 and arXiv 1904.07734. D is distillation: Hinton, Vinyals, Dean, "Distilling the knowledge in a
neural network", arXiv 1503.02531.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hypermnesia.compute import autocast, widened
from hypermnesia.data.scenarios import Scenario, ScenarioName
from hypermnesia.data.types import Batch
from hypermnesia.errors import ConfigError
from hypermnesia.methods.base import TaskSpec, network_logits
from hypermnesia.methods.plain import Finetune
from hypermnesia.nets import with_outputs
from hypermnesia.settings import NonNegative, Positive
from hypermnesia.state_files import State
from hypermnesia.tree import Tree


@dataclass(frozen=True)
class DistillationSettings:
    """How softly and how strongly former answers are taught; raises `ConfigError` for T ≤ 0.

    Attributes:
        temperature: T, what logits are divided by; the higher, the softer the answers.
        strength: weight of the distillation against the other terms of a method's loss.
    """

    temperature: Positive = 2.0
    strength: NonNegative = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError("a temperature must be above zero", got=self.temperature)


def distill(
    logits: Float[Tensor, "batch k"], target_logits: Float[Tensor, "batch k"], temperature: float
) -> Float[Tensor, ""]:
    """T² · mean over the batch of -Σ_c softmax(target / T)_c log softmax(logits / T)_c.

    T² keeps the size of the gradients independent of T (arXiv 1503.02531, section 2.1). A logit
    of -inf stands for a class that does not exist: the target, which must have it wherever `logits`
    do, gives it no probability. No gradient flows into the targets.
    """
    targets = (target_logits.detach() / temperature).softmax(dim=-1)
    logs = (logits / temperature).log_softmax(dim=-1)
    logs = logs.masked_fill(targets == 0, 0.0)  # 0 · -inf is not a number
    return temperature**2 * -(targets * logs).sum(dim=-1).mean()


class SelfTaught(Finetune):
    """A plain network that is taught by its former self, as it was before the task in training."""

    regression = False
    continues = False  # the former network is that before the newest task

    def __init__(self, network: nn.Module, scenario: ScenarioName, **plain: Any) -> None:
        super().__init__(network, scenario, **plain)
        self.former: nn.Module | None = None

    @property
    def _earlier(self) -> Scenario:
        """The scenario before the current task."""
        return Scenario(self.scenario.name, self.scenario.heads[:-1])

    @property
    def _former_columns(self) -> int:
        """Number of outputs of the former network."""
        return self._earlier.columns

    @torch.no_grad()
    def _answers_before(self, x: Tree) -> Tensor:
        """(batch, former columns) logits of the former network."""
        with autocast(self.precision, self.device):
            return widened(network_logits(cast(nn.Module, self.former), x))

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Drop the former network."""
        super().end_task(batches)
        self.former = None

    def state_dict(self) -> State:
        """The network, its optimiser and, within a task, the former network."""
        former = None if self.former is None else dict(self.former.state_dict())
        return super().state_dict() | {"former": former}

    def load_state_dict(self, state: State) -> None:
        """Put a newly built method where `state_dict` found the other."""
        super().load_state_dict(state)
        self.former = None
        if state["former"] is not None:
            anything = torch.Generator()  # drawn values are overwritten below
            former = with_outputs(self.network, self._former_columns, anything, self.head)
            former.load_state_dict(state["former"])
            self.former = former.eval()


class Lwf(SelfTaught):
    """Learning without forgetting: task T has the loss 1/T L + (1 - 1/T) λ D.

    D distils the answers that the network gave to the same inputs before the task began: over
    each earlier head, mean of the heads (`task`), or over all columns, of which those that are
    new get no probability (`domain`, `class`). `distillation` has its temperature and strength λ.
    """

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        distillation: DistillationSettings,
        **plain: Any,
    ) -> None:
        super().__init__(network, scenario, **plain)
        self.distillation = distillation

    def begin_task(self, spec: TaskSpec) -> None:
        """Keep the network as it is, to go on with a copy that has room for the task."""
        former = self.network.eval() if self.scenario.heads else None
        super().begin_task(spec)
        self.former = former

    def _loss(self, own: Tensor, logits: Tensor, batch: Batch) -> Tensor:
        if self.former is None:
            return own
        taught = self._distillation_loss(logits, self._answers_before(batch.x))
        share = 1 / len(self.scenario.heads)
        return share * own + (1 - share) * (self.distillation.strength * taught)

    def _distillation_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """D, for (batch, columns) `logits` and former `targets` over the earlier columns."""
        earlier, temperature = self._earlier, self.distillation.temperature
        if earlier.name != "task":
            new = logits.shape[1] - earlier.columns
            return distill(logits, F.pad(targets, (0, new), value=-torch.inf), temperature)
        heads = [earlier.candidates(task) for task in range(len(earlier.heads))]
        losses = [distill(logits[:, head], targets[:, head], temperature) for head in heads]
        return torch.stack(losses).mean()
