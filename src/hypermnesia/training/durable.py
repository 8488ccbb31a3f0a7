"""Folders that are there completely or not at all, whatever happens to the machine."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

_ASIDE = ".writing-"


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Create `folder` with `files`, in one step as seen from outside and across a power cut.

    The files are written into a hidden folder beside it, brought to the disk (fsync), and the
    folder is renamed. One that bears the name already is removed just before: it is for the
    caller to know that it was worth nothing.

    Raises:
        OSError: a file could not be written; `folder` is then not there.
    """
    clean(folder.parent)
    aside = folder.parent / f"{_ASIDE}{folder.name}"
    try:
        aside.mkdir()
        for name, content in files.items():
            _write_file(aside / name, content)
        _sync_folder(aside)
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
        _sync_folder(folder.parent)
    finally:
        clean(folder.parent)


def clean(parent: Path) -> None:
    """Remove what `write_folder` left in `parent` when it was cut off."""
    for left_over in parent.glob(f"{_ASIDE}*"):
        shutil.rmtree(left_over, ignore_errors=True)


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger, a link, or no file (a pipe would block).
    """
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path.name} is not a regular file")
    if status.st_size > limit:
        raise ValueError(f"{path.name} has {status.st_size} bytes where {limit} are allowed")
    return path.read_bytes()


def _write_file(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
