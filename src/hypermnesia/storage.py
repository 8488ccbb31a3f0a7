"""Files and folders on disk: written completely or not at all, locked, and checked by checksums.

A checksum finds damage. It does not stop one who means to forge a file: that is why reading one
runs nothing, whatever it holds.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from hypermnesia.errors import RunError

_ASIDE = ".writing-"
_SEAL = "sha256"
_POLL_SECONDS = 0.02
_TEXT_LIMIT = 64 * 2**20
_HINT = "check access and free space, or choose another folder with --out"


@contextmanager
def os_errors_as_run_error(path: Path, rule: str, hint: str = _HINT) -> Iterator[None]:
    """Raise the system's refusal (no access, no room) as a `RunError` about `path`."""
    try:
        yield
    except OSError as error:
        got = error.strerror or type(error).__name__
        raise RunError(f"{rule}: {path}", got=got, hint=hint) from error


def make_folder(folder: Path) -> None:
    """Create `folder`, and those above it that are missing, to outlast a power cut."""
    new = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in new:
        sync_folder(path.parent)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Create `folder` with `files`, in one step as seen from outside and across a power cut.

    They are written beside it, brought to the disk (fsync) and renamed; a folder that bears the
    name already is removed just before. An `OSError` leaves no `folder` there.
    """
    clean(folder.parent)
    aside = folder.parent / f"{_ASIDE}{folder.name}"
    try:
        aside.mkdir()
        for name, content in files.items():
            _write_through(aside / name, content)
        sync_folder(aside)
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
        sync_folder(folder.parent)
    finally:
        clean(folder.parent)


def clean(parent: Path) -> None:
    """Remove what `write_folder` left in `parent` when it was cut off."""
    for left_over in parent.glob(f"{_ASIDE}*"):
        shutil.rmtree(left_over, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by a file with `content` in one step, or raise `RunError` and leave it."""
    if path.name in ("", "..") or path.is_dir():
        raise RunError("a file must not be a folder", got=path, hint="name a file in it")
    aside = path.with_name(f"{_ASIDE}{path.name}")
    with os_errors_as_run_error(path, "the file must be writable"):
        _write_through(aside, content)
        aside.replace(path)
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of indented JSON; not-a-number is an error here, write None."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a regular file; raises `ValueError` if it has more than `limit` bytes."""
    if (size := check_regular(path)) > limit:
        raise ValueError(f"{path.name} has {size} bytes where {limit} are allowed")
    return path.read_bytes()


def holds(path: Path, text: str) -> bool:
    """Whether `path` is a regular file of exactly this UTF-8 `text`."""
    with suppress(OSError, ValueError):
        return read_bounded(path, len(text.encode())) == text.encode()
    return False


def check_regular(path: Path) -> int:
    """The size in bytes of a file; raises `ValueError` for a link or no file (a pipe blocks)."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path.name} is not a regular file")
    return status.st_size


def read_text(path: Path, limit: int = _TEXT_LIMIT) -> str:
    """The text of a regular file of at most `limit` bytes; raises `RunError` if it has none."""
    with os_errors_as_run_error(path, "the file must be readable"):
        try:
            return read_bounded(path, limit).decode()
        except UnicodeDecodeError:
            raise RunError(f"{path} must be UTF-8 text", got="other bytes") from None
        except ValueError as error:
            raise RunError(f"{path} must be a text file", got=str(error)) from None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises `RunError` if it holds something else."""
    text = read_text(path)
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):  # a number of 5,000 digits is a ValueError as such
        value = None
    if isinstance(value, dict):
        return value
    rule, hint = f"{path} must hold a JSON object", "move it away and resume"
    raise RunError(rule, got="a damaged file", hint=hint)


def _no_number(name: str) -> None:
    raise ValueError(f"{name}, which is no JSON")


def open_to_append(path: Path) -> BinaryIO:
    """The file at `path`, made if need be, to write at its end; raises `OSError` if it is none.

    A link is not followed, so that what is written stays where it should; a pipe is not waited for.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    file = os.fdopen(os.open(path, flags, 0o666), "ab")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def refuse_links(folder: Path) -> None:
    """Raise `RunError` if anything in `folder` is a symbolic link: it may lead out of it."""
    with os_errors_as_run_error(folder, "the folder must be readable"):
        link = next((path for path in folder.rglob("*") if path.is_symlink()), None)
    if link is not None:
        rule = f"nothing in {folder} may be a link, which may lead out of it"
        hint = "put what it points to in its place"
        raise RunError(rule, got=link.relative_to(folder), hint=hint)


def _write_through(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # never through a link that waits there
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Bring what was created, renamed or removed in `folder` to the disk (fsync)."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(
    folder: Path, name: str = ".lock", what: str = "a run folder", wait: float = 0.0
) -> Iterator[None]:
    """Hold the lock called `name` in `folder`, which is created if need be.

    It waits so many seconds for a process that holds it, then raises `RunError` about `what`.
    """
    with os_errors_as_run_error(folder, "the run folder must be writable"):
        make_folder(folder)
        file = open_to_append(folder / name)
    with file:
        deadline = time.monotonic() + wait
        while not _taken(file):
            if time.monotonic() >= deadline:
                rule = f"{what} serves one process at a time"
                hint = "wait for it, or choose another folder with --name or --out"
                raise RunError(rule, got=f"{folder} in use by another one", hint=hint)
            time.sleep(_POLL_SECONDS)
        yield


@contextmanager
def folder_held(folder: Path) -> Iterator[None]:
    """Hold `folder` itself, after all who do; nothing is written to it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _taken(file: BinaryIO) -> bool:
    """Whether the lock could be taken."""
    with suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def sha256(content: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def canonical(fields: Mapping[str, Any]) -> bytes:
    """Plain fields as JSON that is the same whatever their order; `ValueError` for NaN."""
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def sealed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with the checksum of all of them."""
    return {**fields, _SEAL: sha256(canonical(fields))}


def unsealed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` without their checksum; raises `ValueError` if it is missing or wrong."""
    inner = {name: value for name, value in fields.items() if name != _SEAL}
    if fields.get(_SEAL) != sha256(canonical(inner)):
        raise ValueError("its checksum is wrong")
    return inner


def note(path: Path) -> dict[str, Any]:
    """Size and checksum of a regular file."""
    check_regular(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), _SEAL: digest}


def compare(path: Path, noted: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless the file at `path` is the one that was `noted`."""
    if (size := check_regular(path)) != noted["bytes"]:
        raise ValueError(f"it has {size} bytes where {noted['bytes']} were written")
    if note(path) != noted:
        raise ValueError("its checksum is wrong")
