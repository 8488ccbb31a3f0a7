"""Files of a run folder: read with bounds, written aside and renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypermnesia.errors import RunError

_LIMIT = 64 * 2**20


@contextmanager
def told_as_run_error(path: Path, rule: str) -> Iterator[None]:
    """Turn the system's refusal (no access, no room) into a `RunError` about `path`."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{rule}: {path}",
            got=error.strerror or type(error).__name__,
            cure="check access and free space, or choose another folder with --out",
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` by a file with `content` in one step, also across a power cut."""
    aside = path.with_name(f".writing-{path.name}")
    with told_as_run_error(path, "the file must be writable"):
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_bytes` of indented JSON; not-a-number is an error here, write None."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_text(path: Path) -> str:
    """The text of a file of reasonable size."""
    with told_as_run_error(path, "the file must be readable"):
        if path.stat().st_size > _LIMIT:
            raise RunError(f"{path} must be smaller than {_LIMIT} bytes")
        try:
            return path.read_text("utf-8")
        except UnicodeDecodeError:
            raise RunError(f"{path} must be UTF-8 text", got="other bytes") from None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        value = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RunError(
            f"{path} must hold a JSON object", got="a damaged file", cure="delete it and resume"
        )
    return value
