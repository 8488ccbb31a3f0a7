"""`best` and `sum`: several kinds of evidence side by side, chosen or weighed by held-out samples.

When a task has been learned, each kind's posterior over the tasks so far is asked for held-out
samples of that task, whose truth is known; later these are gone. The log losses of all tasks are
added up, a number a task, and the kind with the least answers. `best` chooses among single kinds.
`sum` also among log p(x | t) - w H_t, for weights w of the entropy on a grid: kinds of evidence
that err independently add up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.errors import ConfigError
from hypermnesia.evidence import EVIDENCE, Evidence
from hypermnesia.evidence.entropy import EntropySettings
from hypermnesia.evidence.gaussian import GaussianSettings, TaskGaussians
from hypermnesia.hypernet.ensemble import AllTasks
from hypermnesia.state_files import State
from hypermnesia.tree import Tree

FIRM = 3.0
"""By how many nats another kind must beat the first: it must be 20 times as likely."""

WEIGHTS = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Of an entropy that is added to log densities."""

_GAUSSIAN, _ENTROPY = GaussianSettings(), EntropySettings()
_OF_CLASSES = "entropy"  # which a task with one class has none of


class BestEvidence(Evidence):
    """The kind of evidence that recognised held-out samples of the tasks best, as they came.

    Args:
        networks: those of all tasks.
        candidates: names of the kinds; the first answers until another is likelier by `FIRM`.
        gaussian: of those that are Gaussians.
        inference: of the entropy.
        features: of `gaussian`.

    Attributes:
        chosen: the kind that answers.
    """

    from_samples = True

    def __init__(
        self,
        networks: AllTasks,
        *,
        candidates: Sequence[str] = ("gaussian", "entropy"),
        gaussian: GaussianSettings = _GAUSSIAN,
        inference: EntropySettings = _ENTROPY,
        features: str | None = None,
    ) -> None:
        own: dict[str, dict[str, Any]] = {
            "gaussian": {"gaussian": gaussian, "features": features},
            "filters": {"gaussian": gaussian},
            "entropy": {"inference": inference},
        }

        def make(name: str) -> Evidence:
            kind: Callable[..., Evidence] = EVIDENCE[name]
            return kind(networks, **own[name])

        self._make = make
        self.members = {name: self._make(name) for name in candidates}
        self.chosen = candidates[0]

    @property
    def kinds(self) -> dict[str, dict[str, float]]:
        """What can answer, by name: the weight of each member in it."""
        return {name: {name: 1.0} for name in self.members}

    def begin_task(self, spec: TaskSpec) -> None:
        """Prepare all; an entropy, of which one class has none, is given up for good."""
        if spec.outputs < 2 and len(self.members) > 1:
            self._keep([name for name in self.members if name != _OF_CLASSES])
        for member in self.members.values():
            member.begin_task(spec)

    def _keep(self, names: Iterable[str]) -> None:
        self.members = {name: self.members[name] for name in names}
        if self.chosen not in self.kinds:
            self.chosen = next(iter(self.kinds))

    def continue_task(self, task: int, spec: TaskSpec) -> None:
        """Prepare all."""
        for member in self.members.values():
            member.continue_task(task, spec)

    def extend_task(self, task: int, spec: TaskSpec) -> None:
        """Prepare all."""
        for member in self.members.values():
            member.extend_task(task, spec)

    def draw(self, task: int, count: int, generator: torch.Generator) -> Tensor | None:
        """(count, entries) inputs that a member draws; None where none can."""
        drawn = (member.draw(task, count, generator) for member in self.members.values())
        return next((each for each in drawn if each is not None), None)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """Show the batch to all."""
        return {n: v for each in self.members.values() for n, v in each.update(batch).items()}

    def end_task(self, batches: Iterable[Batch]) -> None:
        """Let each keep what it needs of the task, of which samples are read once for all."""
        densities = [each for each in self.members.values() if isinstance(each, TaskGaussians)]
        rows = [each.rows() for each in densities]

        def seen() -> Iterator[Batch]:
            for batch in batches:
                for own in rows:
                    own.add(batch.original, batch.y)
                yield batch

        rest = seen()
        if _OF_CLASSES in self.members:
            self.members[_OF_CLASSES].end_task(rest)
        deque(rest, maxlen=0)  # what it left
        for density, own in zip(densities, rows, strict=True):
            density.fit(*own.joined())

    def remove_task(self, task: int) -> None:
        """Drop the task from all."""
        for member in self.members.values():
            member.remove_task(task)

    def merge(self, other: Any) -> None:
        """Take over the tasks of another's members; those that only one of both has are dropped.

        Raises `ConfigError` if they have none in common.
        """
        self._keep([name for name in self.members if name in other.members])
        if not self.members:
            rule, hint = "to merge, both must have a kind of evidence in common", "fit both alike"
            raise ConfigError(rule, got="none", hint=hint)
        for name, member in self.members.items():
            member.merge(other.members[name])

    def choose(self, losses: Mapping[str, float]) -> None:
        """Let the kind answer that has the least log loss, in nats of all held-out samples."""
        first = self.chosen = next(iter(self.kinds))
        best = min(losses, key=lambda kind: losses[kind])
        if losses[first] - losses[best] > FIRM:
            self.chosen = best

    def each(self, x: Tree, logits: Tensor) -> dict[str, Tensor]:
        """(tasks, batch) log evidence of every kind."""
        found = {name: each.log_evidence(x, logits) for name, each in self.members.items()}
        return {kind: _weighed(found, weights) for kind, weights in self.kinds.items()}

    def log_evidence(self, x: Tree, logits: Tensor) -> Tensor:
        """(tasks, batch) log evidence of the kind that is chosen."""
        weights = self.kinds[self.chosen]
        return _weighed({n: self.members[n].log_evidence(x, logits) for n in weights}, weights)

    @property
    def unseen(self) -> dict[str, Tensor]:
        """(n,) log evidence of samples of the task that has just ended, of kinds that have such."""
        found = {name: getattr(member, "unseen", None) for name, member in self.members.items()}
        return {name: values for name, values in found.items() if values is not None}

    def module(self) -> nn.Module:
        """That of the kind that is chosen."""
        weights = self.kinds[self.chosen]
        return _Module({name: self.members[name].module() for name in weights}, weights)

    @property
    def kept(self) -> int:
        """Numbers of all, those that are not chosen too."""
        return sum(member.kept for member in self.members.values())

    def state_dict(self) -> State:
        """All members, and which kind is chosen."""
        members = {name: member.state_dict() for name, member in self.members.items()}
        return {"chosen": self.chosen, "members": members}

    def load_state_dict(self, state: State) -> None:
        """Put an evidence where `state_dict` found the other."""
        self.members = {name: self._make(name) for name in state["members"]}
        for name, own in state["members"].items():
            self.members[name].load_state_dict(own)
        self.chosen = state["chosen"]


class SumEvidence(BestEvidence):
    """As `BestEvidence`, among sums of log densities and weighed entropies, too."""

    @property
    def kinds(self) -> dict[str, dict[str, float]]:
        """Single kinds, and each density with an entropy of each weight."""
        found, alone = super().kinds, [name for name in self.members if name != _OF_CLASSES]
        if _OF_CLASSES in self.members:
            for name, weight in ((name, weight) for name in alone for weight in WEIGHTS):
                found[f"{name} + {weight:g} {_OF_CLASSES}"] = {name: 1.0, _OF_CLASSES: weight}
        return found


class _Module(nn.Module):
    """Modules of members, added up."""

    def __init__(self, members: Mapping[str, nn.Module], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.members, self.weights = nn.ModuleDict(members), dict(weights)

    def forward(self, x: Tensor, logits: Tensor) -> Tensor:
        return _weighed({name: own(x, logits) for name, own in self.members.items()}, self.weights)


def _weighed(found: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    parts = [found[name] if w == 1 else w * found[name] for name, w in weights.items()]
    return torch.stack(parts).sum(dim=0) if parts[1:] else parts[0]
