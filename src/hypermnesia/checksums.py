"""Checksums: noted when something is written, compared when it is read.

A checksum finds damage. It does not stop one who means to forge a file: that is why reading one
runs nothing, whatever it holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypermnesia.durable import check_regular

_SEAL = "sha256"


def sha256(content: bytes) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def canonical(fields: Mapping[str, Any]) -> bytes:
    """Plain fields as JSON that is the same whatever their order.

    Raises:
        TypeError: a value that is none of JSON's.
        ValueError: a number that is not finite.
    """
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def sealed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with the checksum of all of them."""
    return {**fields, _SEAL: sha256(canonical(fields))}


def unsealed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` without their checksum.

    Raises:
        ValueError: it is missing or wrong.
    """
    inner = {name: value for name, value in fields.items() if name != _SEAL}
    if fields.get(_SEAL) != sha256(canonical(inner)):
        raise ValueError("its checksum is wrong")
    return inner


def note(path: Path) -> dict[str, Any]:
    """Size and checksum of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file.
    """
    check_regular(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), _SEAL: digest}


def compare(path: Path, noted: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless the file at `path` is the one that was `noted`.

    Raises:
        OSError: it cannot be read.
    """
    size = check_regular(path)
    if size != noted["bytes"]:
        raise ValueError(f"it has {size} bytes where {noted['bytes']} were written")
    if note(path) != noted:
        raise ValueError("its checksum is wrong")
