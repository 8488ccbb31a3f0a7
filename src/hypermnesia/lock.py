"""One process a run folder: a lock that a dead process does not keep."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypermnesia.durable import make_folder, told_as_run_error
from hypermnesia.errors import RunError

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, creating the folder if need be.

    Raises:
        RunError: another process holds it, or the folder cannot be written.
    """
    with told_as_run_error(folder, "the run folder must be writable"):
        make_folder(folder)
        file = (folder / LOCK).open("ab")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                "a run folder serves one process at a time",
                got=f"{folder} in use by another one",
                cure="wait for it, or choose another folder with --name or --out",
            ) from None
        yield
