"""`hnet-data`: a few labelled samples of a task are encoded, and their encoding makes its network.

    min_θ L(h(e(S)), Q) + β/(T-1) Σ_{t<T} ‖h(e_t; θ*) - h(e_t; θ + Δθ)‖²

S and Q are two parts of a mini-batch, as in Finn et al. 2017, "Model-agnostic meta-learning" (arXiv
1703.03400), but of one task after another. e is fixed (`hypermnesia.hypernet.task_data`), and e_t
the mean encoding of a task's mini-batches: all that is kept of it.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from hypermnesia import tree
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.task_data import DataCondition, Support, SupportSettings
from hypermnesia.methods.base import not_in_parts
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.optimizers import Reduce

_SUPPORT = SupportSettings()


class DataHypernet(HypernetMethod):
    """Hypernetwork that takes an encoded support set where others take a learned embedding.

    The streams `encoder` and `support` are used beside those of `HypernetMethod`, whose arguments
    it takes, and `support`, how sets are drawn and encoded. Raises `ConfigError` for a condition of
    another kind.

    Args:
        network: template of the target networks, left unchanged.
        scenario: as of `HypernetMethod`.
        feature_module: gives features of inputs, (n, ...) for n samples; by default random ones.
            Its parameters are not trained, and not saved.
    """

    def __init__(
        self,
        network: nn.Module,
        scenario: ScenarioName,
        *,
        hypernet: HypernetSettings,
        support: SupportSettings = _SUPPORT,
        feature_module: nn.Module | None = None,
        **others: Any,
    ) -> None:
        if hypernet.condition not in ("embedding", "data"):
            rule, got = "hnet-data makes networks from task data", hypernet.condition
            raise ConfigError(rule, got=f"hypernet.condition={got}", hint="leave it out")
        options = {**asdict(support), "module": feature_module}
        changes: dict[str, Any] = {"condition": "data", "condition_options": options}
        hypernet = replace(hypernet, embedding_start="normal", **changes)
        self.support = support
        super().__init__(network, scenario, hypernet=hypernet, **others)

    @property
    def condition(self) -> DataCondition:
        """What encodes support sets."""
        return cast(DataCondition, self.memory.condition)

    def take_parts(self, reduce: Reduce) -> None:  # noqa: ARG002
        """Raise `ConfigError`: a support set is drawn from whole batches."""
        raise not_in_parts("hnet-data, which divides batches itself")

    def _go_on(self, task: int, spec: TaskSpec) -> None:
        super()._go_on(task, spec)
        if task not in self.trainer.held:  # what is kept is that of the samples to come
            self.condition.seen[task] = 0

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Take one iteration: encode a part of a mini-batch, learn the rest with its network."""
        task, condition = self.trainer.task, self.condition
        if task in self.trainer.held:  # its embedding stays
            return super().update(batch)
        every = Support(batch.original, batch.y)
        if not condition.encoder.settled:
            condition.encoder.settle(every)
        support, rest = self._divided(batch)
        condition.see(task, every)
        kept = condition([task])[0].detach().clone()
        condition.put(task, condition([task], [support])[0].detach())
        metrics = super().update(rest)
        condition.put(task, kept)
        return metrics

    def _divided(self, batch: Batch) -> tuple[Support, Batch]:
        """Divide a mini-batch, which is in random order; a tiny one is both."""
        most = min(self.support.largest, len(batch) // 2)
        least = min(self.support.smallest, most)
        if most < 2:  # one sample is too few for a batch norm
            return Support(batch.original, batch.y), batch
        share = float(torch.rand((), generator=self.generators["support"]))
        size = round(math.exp(math.log(least) + share * math.log(most / least)))
        first, rest = slice(size), slice(size, None)
        x = tree.index(batch.original, first)
        others: dict[str, Any] = {
            name: None if (each := getattr(batch, name)) is None else tree.index(each, rest)
            for name in ("x", "y", "task", "unaugmented", "weight")
        }
        return Support(x, batch.y[first]), Batch(**others)
