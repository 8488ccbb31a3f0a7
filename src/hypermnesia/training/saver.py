"""When a run is saved, what is saved, and how it is put back."""

from __future__ import annotations

import reprlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hypermnesia.errors import DataError, RunError
from hypermnesia.methods.base import Method, State
from hypermnesia.seeding import Generators
from hypermnesia.training.checkpoint import Checkpoint, Store
from hypermnesia.training.observer import Observer
from hypermnesia.training.progress import Progress


@contextmanager
def must_fit() -> Iterator[None]:
    """Turn whatever a state does that is none of this run's into a `RunError`.

    Raises:
        RunError: it does anything.
    """
    try:
        yield
    except (DataError, RunError):
        raise
    except Exception as error:
        got = str(error).strip().partition("\n")[0] or type(error).__name__
        raise RunError(
            "the state in a checkpoint must fit the run that goes on from it",
            got=reprlib.repr(got),
            cure="restore the folder from a copy, or start the run anew in another folder",
        ) from error


class Saver:
    """Saves and restores all that the rest of a run depends on.

    Args:
        store: where to.
        every: seconds between two checkpoints inside a phase, by the monotonic clock.
        method: the one in training.
        generators: all random numbers of the run.
        observer: may remember things too.
        progress: the loop's own state.
    """

    def __init__(
        self,
        store: Store,
        every: float,
        method: Method,
        generators: Generators,
        observer: Observer,
        progress: Progress,
    ) -> None:
        self._store, self._every = store, every
        self._method, self._generators = method, generators
        self._observer, self._progress = observer, progress
        self._last = time.monotonic()

    def restore(self) -> Checkpoint | None:
        """Put everything back to the newest good checkpoint; None if there are none."""
        found = self._store.load_newest()
        if found is not None:
            with must_fit():
                self._method.load_state_dict(found.state["method"])
                self._generators.load_state_dict(found.state["generators"])
                self._observer.load_state_dict(found.state["observer"])
                self._progress.load_state_dict(found.state["progress"])
        return found

    def due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return time.monotonic() - self._last >= self._every

    def save(self, stream: State | None) -> None:
        """Save everything; `stream` is the position in a phase's data, None between phases.

        Raises:
            RunError: it cannot be written; earlier checkpoints are intact.
        """
        state = {
            "method": self._method.state_dict(),
            "generators": self._generators.state_dict(),
            "observer": self._observer.state_dict(),
            "progress": self._progress.state_dict(),
            "stream": stream,
        }
        self._store.save(self._progress.done, state)
        self._last = time.monotonic()
