"""The two files of a checkpoint, checked against each other byte for byte.

`tensors.safetensors` holds the tensors. `state.json` holds the format version, the owner, the
step, the SHA-256 of the tensor file, the state's JSON tree, and the SHA-256 of all that as
canonical JSON. A checksum finds damage; it does not stop one who means to forge a checkpoint,
who can only change numbers: reading a checkpoint runs nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

from hypermnesia.durable import read_bounded
from hypermnesia.methods.base import State
from hypermnesia.training.pack import Json, pack, unpack

FORMAT = 2  # 1 knew one accuracy matrix, not one for each scenario
TENSORS, MANIFEST = "tensors.safetensors", "state.json"
_MANIFEST_LIMIT = 256 * 2**20


def encode(step: int, state: State, owner: str) -> dict[str, bytes]:
    """The files of a checkpoint, by name."""
    tree, tensors = pack(state)
    content = safetensors.torch.save(tensors)
    body = {
        "format": FORMAT,
        "owner": owner,
        "step": step,
        "tensors": {"sha256": _sha256(content), "bytes": len(content)},
        "state": tree,
    }
    manifest = {**body, "sha256": _sha256(_canonical(body))}
    return {TENSORS: content, MANIFEST: _canonical(manifest)}


def decode(folder: Path, owner: str) -> tuple[int, State]:
    """The step and the state that `folder` holds.

    Raises:
        ValueError: a file is missing, damaged, of another format version or of another owner.
    """
    try:
        body = _read_manifest(folder, owner)
        content = read_bounded(folder / TENSORS, body["tensors"]["bytes"])
        if _sha256(content) != body["tensors"]["sha256"]:
            raise ValueError(f"the checksum of {TENSORS} is wrong")
        return body["step"], unpack(body["state"], safetensors.torch.load(content))
    except OSError as error:
        raise ValueError(f"{error.strerror}: {Path(error.filename or folder).name}") from error
    except (SafetensorError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"it is not laid out as a checkpoint ({type(error).__name__})") from error


def _read_manifest(folder: Path, owner: str) -> dict[str, Json]:
    try:
        body = json.loads(read_bounded(folder / MANIFEST, _MANIFEST_LIMIT))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{MANIFEST} is damaged") from error
    if not isinstance(body, dict):
        raise ValueError(f"{MANIFEST} is damaged")
    if body.pop("sha256", None) != _sha256(_canonical(body)):
        raise ValueError(f"the checksum of {MANIFEST} is wrong")
    if body["format"] != FORMAT:
        raise ValueError(f"its format version is {body['format']} where {FORMAT} is read")
    if body["owner"] != owner:
        raise ValueError("it belongs to another run or configuration")
    return body


def _canonical(body: Mapping[str, Json]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
