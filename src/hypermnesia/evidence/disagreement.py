"""`agreement` and `mutual-information`: drawn networks differ on what they were not trained on.

Of K drawn networks of a task, with probabilities p_k of the classes c and their mean p:

    agreement            -Σ_c mean_k (p_k(c) - p(c))²
    mutual information   -(H(p) - mean_k H(p_k))

Neither speaks against a task whose networks all say that classes overlap, as the entropy H(p) does.
Henning et al. 2021 (arXiv 2103.01133) compare such criteria; the mutual information is that of
Houlsby et al. 2011, "Bayesian active learning by disagreement" (arXiv 1112.5745).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.evidence import Evidence
from hypermnesia.evidence.entropy import check_outputs, check_targets, entropy
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.tree import Tree

Draws = Float[Tensor, "tasks batch draws outputs"]
"""Logits of the networks that are drawn of each task."""


class _OfDraws(Evidence):
    """The task whose drawn networks differ least; a class says how much they do."""

    from_samples = True

    def __init__(self, networks: AllTasks) -> None:
        if not hasattr(networks, "each") or networks.memory.draws < 2:
            rule, got = "two or more networks of a task must be drawn to differ", "one"
            raise ConfigError(rule, got=got, hint="use hnet-bayes with noise.draws of 2 or more")
        self.networks: Any = networks

    def begin_task(self, spec: TaskSpec) -> None:
        """Raise `ConfigError` for a single class."""
        check_outputs(spec)

    def update(self, batch: Batch) -> Mapping[str, Tensor]:
        """Nothing is learned; raises `ConfigError` for targets that are not classes."""
        check_targets(batch)
        return {}

    def remove_task(self, task: int) -> None:  # noqa: ARG002
        """Nothing is kept of a task."""
        return

    @torch.no_grad()
    def log_evidence(self, x: Tree, logits: Tensor) -> Tensor:  # noqa: ARG002
        """(tasks, batch): the negative difference, of networks that are asked once more."""
        return self.of_draws(self.networks.each(x))

    def of_draws(self, logits: Draws) -> Float[Tensor, "tasks batch"]:
        """(tasks, batch): how little networks differ that have given these logits."""
        raise NotImplementedError


class Agreement(_OfDraws):
    """The drawn networks whose probabilities have the least variance answer."""

    def of_draws(self, logits: Draws) -> Float[Tensor, "tasks batch"]:
        """(tasks, batch): the negative variance of the probabilities, summed over classes."""
        return -logits.softmax(-1).var(dim=2, correction=0).sum(-1)


class MutualInformation(_OfDraws):
    """The drawn networks answer whose choice tells least about the answer."""

    def of_draws(self, logits: Draws) -> Float[Tensor, "tasks batch"]:
        """(tasks, batch): the negative mutual information of network and class, in nats."""
        log_p = logits.log_softmax(-1)
        return entropy(log_p).mean(dim=2) - entropy(log_p.logsumexp(dim=2))
