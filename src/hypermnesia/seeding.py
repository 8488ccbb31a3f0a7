"""Random numbers: independent named generators from one seed, and no use of the global state."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import RLock

import torch

one_at_a_time = RLock()
"""Held by whoever sets torch's global generators for a while: they are those of all threads."""


def derive_seed(seed: int, name: str) -> int:
    """A 63-bit seed for the stream called `name`, independent of every other name."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Generators:
    """Named CPU generators derived from one seed, made at first use.

    A stream's numbers depend only on the seed, its name and how many were drawn from it, so a
    new stream never shifts another one.

    Example:
        >>> import torch
        >>> from hypermnesia.seeding import Generators
        >>> first, again = Generators(0), Generators(0)
        >>> _ = torch.rand(3, generator=again["dropout"])
        >>> draws = [torch.rand(1, generator=g["batches"]) for g in (first, again)]
        >>> bool(draws[0] == draws[1])
        True
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, torch.Generator] = {}
        self._prefix = ""
        self.within: Callable[[], AbstractContextManager[object]] = nullcontext

    def __getitem__(self, name: str) -> torch.Generator:
        return self._stream(self._prefix + name)

    def _stream(self, name: str) -> torch.Generator:
        if name not in self._streams:
            self._streams[name] = torch.Generator().manual_seed(derive_seed(self.seed, name))
        return self._streams[name]

    def under(self, prefix: str) -> Generators:
        """The streams called `prefix/...`, by the rest of their names.

        For a second object of a kind, which must not draw from the streams of the first. They are
        streams of these generators, saved and restored with the others.
        """
        part = Generators(self.seed)
        part._streams, part._prefix = self._streams, f"{self._prefix}{prefix}/"
        return part

    @contextmanager
    def as_global(self, name: str) -> Iterator[None]:
        """Let code that draws from torch's global generators (dropout) draw from `name`.

        The global states are the same after the block as before it; other threads that want them
        wait. A GPU's generator is seeded with a number drawn from the stream. The block is inside
        the context `within()`, which may change what is drawn.
        """
        stream = self[name]
        gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
        with one_at_a_time, torch.random.fork_rng(devices=gpus):
            if gpus:
                torch.cuda.manual_seed_all(int(torch.randint(2**62, (), generator=stream)))
            torch.set_rng_state(stream.get_state())
            try:
                with self.within():
                    yield
            finally:
                stream.set_state(torch.get_rng_state())

    def state_dict(self) -> dict[str, torch.Tensor]:
        """State of every stream used so far, as uint8 tensors by name."""
        return {name: stream.get_state() for name, stream in self._streams.items()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Put every stream back to where `state_dict` found it, as the same generator objects."""
        for name in self._streams.keys() - state.keys():
            self._streams[name].manual_seed(derive_seed(self.seed, name))
        for name, saved in state.items():
            self._stream(name).set_state(saved)
