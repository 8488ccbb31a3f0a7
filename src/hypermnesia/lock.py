"""One process at a time: locks that a dead process does not keep."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hypermnesia.durable import make_folder, open_to_append, told_as_run_error
from hypermnesia.errors import RunError

_POLL_SECONDS = 0.02


@contextmanager
def locked(
    folder: Path, name: str = ".lock", what: str = "a run folder", wait: float = 0.0
) -> Iterator[None]:
    """Hold the lock called `name` in `folder`, creating the folder if need be.

    Args:
        folder: where the lock's file is.
        name: name of the file.
        what: that which one process has at a time, for the message.
        wait: seconds to wait for a process that holds it.

    Raises:
        RunError: another process holds it, or the folder cannot be written.
    """
    with told_as_run_error(folder, "the run folder must be writable"):
        make_folder(folder)
        file = open_to_append(folder / name)
    with file:
        if not _taken(file, time.monotonic() + wait):
            raise RunError(
                f"{what} serves one process at a time",
                got=f"{folder} in use by another one",
                cure="wait for it, or choose another folder with --name or --out",
            )
        yield


@contextmanager
def folder_held(folder: Path) -> Iterator[None]:
    """Hold `folder` itself, after all who do; nothing is written to it.

    Raises:
        OSError: it cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _taken(file: BinaryIO, deadline: float) -> bool:
    """Whether the lock could be taken in time."""
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
