"""Distillation: a network learns to answer as another one does.

Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", arXiv 1503.02531.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from hypermnesia.errors import ConfigError


@dataclass(frozen=True)
class DistillationSettings:
    """How softly, and how strongly, former answers are taught.

    Attributes:
        temperature: T, what scores are divided by; the higher, the softer the answers.
        strength: weight of the distillation against the other terms of a method's loss.

    Raises:
        ConfigError: a temperature that is not above zero.
    """

    temperature: float = 2.0
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError("a temperature must be above zero", got=self.temperature)


def distill(
    scores: Float[Tensor, "batch k"], target_scores: Float[Tensor, "batch k"], temperature: float
) -> Float[Tensor, ""]:
    """T² · mean over the batch of -Σ_c softmax(target / T)_c log softmax(scores / T)_c.

    T² keeps the size of the gradients independent of T (arXiv 1503.02531, section 2.1). A score
    of -inf stands for a class that does not exist: a target without it gives it no probability.
    No gradient flows into the targets.

    Args:
        scores: logits of the network that learns.
        target_scores: logits of the network that teaches; -inf wherever `scores` are.
        temperature: T.
    """
    targets = (target_scores.detach() / temperature).softmax(dim=-1)
    logs = (scores / temperature).log_softmax(dim=-1)
    logs = logs.masked_fill(targets == 0, 0.0)  # 0 · -inf is not a number
    return temperature**2 * -(targets * logs).sum(dim=-1).mean()
