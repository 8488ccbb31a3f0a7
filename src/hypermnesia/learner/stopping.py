"""When a fit has learned enough: a held-out part of its samples tells."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

from hypermnesia.data.stream import each_once
from hypermnesia.data.types import Samples
from hypermnesia.methods.base import State
from hypermnesia.methods.hnet import HypernetMethod

_EVERY = 50  # updates between two looks


@dataclass
class _Best:
    loss: float = math.inf
    at: int = 0
    state: State | None = None


class EarlyStopping:
    """Remembers the best state of each part that a method learns by a loss of its own.

    Args:
        method: in training.
        held: samples of its task that are not learned from; None never stops.
        patience: updates without a better loss, of any part, after which it is enough.
        batch_size: samples a look takes at a time.
    """

    def __init__(
        self, method: HypernetMethod, held: Samples | None, patience: int, batch_size: int
    ) -> None:
        self._method, self._held = method, held
        self._patience, self._batch_size = patience, batch_size
        self._best = {name: _Best() for name in method.memories}
        looks = 0 if held is None else math.ceil(len(held) / batch_size)
        self._every = max(_EVERY, looks)
        self.loss = math.nan

    def enough(self, updates: int) -> bool:
        """Look, if it is time to after so many updates, and tell whether to stop."""
        if self._held is None or updates % self._every:
            return False
        for part, loss in self._losses(self._held).items():
            best = self._best[part]
            if loss < best.loss:
                state = self._method.memories[part].state_dict()
                self._best[part] = _Best(loss, updates, copy.deepcopy(state))
        return all(updates - best.at >= self._patience for best in self._best.values())

    def restore(self) -> None:
        """Put every part to its best state."""
        for part, best in self._best.items():
            if best.state is not None:
                self._method.memories[part].load_state_dict(best.state)

    def _losses(self, held: Samples) -> dict[str, float]:
        """Means over the samples held out."""
        totals = dict.fromkeys(self._best, 0.0)
        for batch in each_once([held], self._batch_size):
            for part, loss in self._method.losses(batch).items():
                totals[part] += float(loss) * len(batch) / len(held)
        self.loss = totals["loss"]
        return totals
