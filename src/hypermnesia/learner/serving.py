"""Networks of tasks that are kept, to be called without being made anew."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn

from hypermnesia.hypernet.ensemble import BUDGET


class Served:
    """Networks of tasks on a device, those asked for last within `budget` bytes, or only one.

    `make` gives the network of a task; `shared` tensors, which all of them have, take no room.
    Whoever calls holds a lock.
    """

    shared: Collection[Tensor] = ()

    def __init__(
        self, make: Callable[[int], nn.Module], device: torch.device, budget: int = BUDGET
    ) -> None:
        self._make, self._device, self._budget = make, device, budget
        self._kept: OrderedDict[int, tuple[nn.Module, int]] = OrderedDict()

    def drop(self) -> None:
        """Forget all, as what they are made of changes."""
        self._kept.clear()

    def __getitem__(self, task: int) -> nn.Module:
        """The network of a task, kept or made."""
        if task in self._kept:
            self._kept.move_to_end(task)
            return self._kept[task][0]
        network = self._make(task).to(self._device)
        self._kept[task] = network, _size(network, {id(tensor) for tensor in self.shared})
        while len(self._kept) > 1 and self.bytes > self._budget:
            self._kept.popitem(last=False)
        return network

    @property
    def bytes(self) -> int:
        """Room that the kept networks take."""
        return sum(size for _, size in self._kept.values())


def _size(network: nn.Module, shared: Collection[int]) -> int:
    own = (t for t in (*network.parameters(), *network.buffers()) if id(t) not in shared)
    return sum(t.numel() * t.element_size() for t in own)
