"""All that a learner has learned, which a fit replaces as a whole or not at all."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from hypermnesia.errors import ConfigError
from hypermnesia.learner.build import build_method
from hypermnesia.learner.design import Design
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.targets import Targets
from hypermnesia.methods.base import State
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.seeding import Generators


@dataclass(frozen=True)
class TaskRecord:
    """What is known of a task besides its weights.

    Attributes:
        name: what the user calls it.
        targets: what its outputs stand for.
        samples: number learned from, over all fits.
        updates: number taken, over all fits.
    """

    name: str | int
    targets: Targets
    samples: int = 0
    updates: int = 0


class Knowledge:
    """A method, its random numbers, and records of the tasks that it knows.

    Args:
        model: template of the target networks, left unchanged.
        settings: the user's choices.
        design: what the first task settled.
        device: where everything lives.
    """

    def __init__(
        self, model: nn.Module, settings: LearnerSettings, design: Design, device: torch.device
    ) -> None:
        self.model, self.settings, self.design, self.device = model, settings, design, device
        self.generators = Generators(settings.seed)
        self.method: HypernetMethod = build_method(model, settings, design, self.generators, device)
        self.records: list[TaskRecord] = []

    def index(self, name: str | int) -> int | None:
        """The index of a task; None for a new one."""
        names = [record.name for record in self.records]
        return names.index(name) if name in names else None

    def count(self, index: int, *, samples: int, updates: int) -> None:
        """Note that a task learned from more samples, in more updates."""
        record = self.records[index]
        samples, updates = record.samples + samples, record.updates + updates
        self.records[index] = replace(record, samples=samples, updates=updates)

    def copy(self) -> Knowledge:
        """The same, of which a change changes nothing here."""
        other = Knowledge(self.model, self.settings, self.design, self.device)
        other.load_state_dict(copy.deepcopy(self.state_dict()))
        other.records = list(self.records)
        return other

    def state_dict(self) -> State:
        """Weights and random numbers."""
        return {"method": self.method.state_dict(), "generators": self.generators.state_dict()}

    def load_state_dict(self, state: State) -> None:
        """Put newly built knowledge where `state_dict` found the other."""
        self.method.load_state_dict(state["method"])
        self.generators.load_state_dict(state["generators"])


def check_task_name(name: object, known: Sequence[str | int]) -> None:
    """Raise `ConfigError` unless a task can be called so beside the known ones."""
    kinds = {type(each) for each in known} or {str, int}
    if type(name) not in kinds:
        raise ConfigError(
            "tasks are named by strings, or all of them by integers",
            got=f"{name!r:.40}",
            cure="name it as the others, or the first one by a string",
        )
