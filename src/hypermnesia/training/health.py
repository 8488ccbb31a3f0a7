"""Whether training stays in the numbers: what each update reported, looked at in blocks.

Reading a number waits for the device, so updates are only noted, and looked at together now and
then. What they reported is still there: the first bad update is found exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hypermnesia.errors import RunError

_BLOCK = 50  # as often as the metrics are logged, which waits for the device anyway


@dataclass(frozen=True)
class Fault:
    """The first update of which a loss or a gradient is no finite number.

    Attributes:
        name: of what was being learned.
        iteration: the update, from 1 within its phase.
        good: updates of the run before it.
        found: everything that it reported.
        before: what the update before it reported, where it is known.
    """

    name: str
    iteration: int
    good: int
    found: Mapping[str, float]
    before: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        bad = ", ".join(f"{name} {self._told(name)}" for name in self._bad)
        return f"iteration {self.iteration} of {self.name}: {bad}"

    @property
    def _bad(self) -> list[str]:
        return [name for name, value in self.found.items() if not math.isfinite(value)]

    def _told(self, name: str) -> str:
        value = f"{self.found[name]:g}"
        return f"{value} ({self.before[name]:.3g} before)" if name in self.before else value

    def cause(self) -> tuple[str, str]:
        """The likely cause, and what to do about it."""
        first = self._bad[0]
        optimizer = "vae_optimizer" if first.startswith("vae_") else "optimizer"
        smaller = f"start another run with a smaller {optimizer}.lr, or with {optimizer}.clip=1"
        if self.iteration == 1:
            return (
                "inputs, first weights or the pull of earlier tasks that are too large",
                "bring inputs into [0, 1], choose a smaller regularizer.beta or penalty.strength",
            )
        if first.endswith("gradient"):
            return "gradients that explode though the loss is finite", smaller
        if first.endswith("penalty"):
            return (
                "a step so large that earlier tasks are thrown out of place",
                f"{smaller}, or with a smaller regularizer.beta or penalty.strength",
            )
        return "a step that is too large", smaller


class NotFiniteError(RunError):
    """A loss or a gradient was no finite number.

    Args:
        fault: where, and what was found.
    """

    def __init__(self, fault: Fault) -> None:
        cause, cure = fault.cause()
        super().__init__(
            "losses and gradients must stay finite",
            got=f"{fault}; likely cause: {cause}",
            cure=f"{cure}; all up to the update before is kept",
        )
        self.fault = fault


class Health:
    """Notes what the updates of a phase report, and raises `NotFiniteError`.

    Args:
        name: what is being learned.
        iteration: updates of it done so far.
        done: updates of the run done so far.
    """

    def __init__(self, name: str, iteration: int, done: int) -> None:
        self._name, self._iteration, self._done = name, iteration, done
        self._noted: list[Mapping[str, Tensor]] = []
        self._before: Mapping[str, float] = {}

    def note(self, metrics: Mapping[str, Tensor]) -> None:
        """Remember the scalars that an update reported; checks now and then.

        Raises:
            NotFiniteError: one of those checked is no finite number.
        """
        self._noted.append(metrics)
        if len(self._noted) >= _BLOCK:
            self.check()

    def check(self) -> None:
        """Look at the updates since the last check; waits for the device.

        Raises:
            NotFiniteError: a scalar of one of them is no finite number.
        """
        for found in _read(self._noted):
            if not all(map(math.isfinite, found.values())):
                iteration, good = self._iteration + 1, self._done
                raise NotFiniteError(Fault(self._name, iteration, good, found, self._before))
            self._iteration, self._done = self._iteration + 1, self._done + 1
            self._before = found
        self._noted = []


def _read(noted: Sequence[Mapping[str, Tensor]]) -> Iterator[dict[str, float]]:
    """The numbers of all updates, fetched together; the device is waited for once a name."""
    names = dict.fromkeys(name for metrics in noted for name in metrics)
    values = {
        name: iter(torch.stack([m[name] for m in noted if name in m]).tolist()) for name in names
    }
    for metrics in noted:
        yield {name: next(values[name]) for name in metrics}
