"""The protocol of a method whose generative memory can be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from hypermnesia.seeding import Generators

Samples = dict[int | None, Tensor]
"""task -> (n, *sample) samples of it; under None those of all tasks, mixed."""


class Sampler(Protocol):
    """What gives samples of the tasks learned so far."""

    def samples(self, tasks: Sequence[int], n: int, generators: Generators) -> Samples:
        """`n` samples of each task as it is remembered now; changes nothing.

        A memory that does not know whose its samples are gives `n` in all, mixed, under None.

        Args:
            tasks: begun already.
            n: 1 or more.
            generators: streams called `samples/...` are used; not those of the training.
        """


@runtime_checkable
class Generative(Protocol):
    """A method with a generative memory."""

    @property
    def sampler(self) -> Sampler:
        """The memory."""
