"""The two files of a checkpoint, checked against each other byte for byte.

`tensors.safetensors` holds the tensors. `state.json` holds the format version, the owner, the
step, the SHA-256 of the tensor file, the state's JSON tree, and the SHA-256 of all that as
canonical JSON. Whoever forges both can change numbers; reading a checkpoint runs nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

from hypermnesia.checksums import canonical, sealed, sha256, unsealed
from hypermnesia.durable import read_bounded
from hypermnesia.methods.base import State
from hypermnesia.training.pack import Json, pack, unpack

FORMAT = 2
"""Version of the format; 1 knew one accuracy matrix, not one for each scenario."""

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
        "tensors": {"sha256": sha256(content), "bytes": len(content)},
        "state": tree,
    }
    return {TENSORS: content, MANIFEST: canonical(sealed(body))}


def decode(folder: Path, owner: str | None) -> tuple[int, State]:
    """The step and the state that `folder` holds, of `owner` or, for None, of anyone.

    Raises:
        OtherFormatError: it is whole, but of a format version that this one does not read.
        ValueError: a file is missing, damaged or of another owner.
    """
    try:
        body = _read_manifest(folder, owner)
        content = read_bounded(folder / TENSORS, body["tensors"]["bytes"])
        if sha256(content) != body["tensors"]["sha256"]:
            raise ValueError(f"the checksum of {TENSORS} is wrong")
        return body["step"], unpack(body["state"], safetensors.torch.load(content))
    except OSError as error:
        raise ValueError(f"{error.strerror}: {Path(error.filename or folder).name}") from error
    except (SafetensorError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"it is not laid out as a checkpoint ({type(error).__name__})") from error


class OtherFormatError(Exception):
    """A checkpoint that is whole, and of another version of Hypermnesia."""


def _read_manifest(folder: Path, owner: str | None) -> dict[str, Json]:
    body = json.loads(read_bounded(folder / MANIFEST, _MANIFEST_LIMIT))
    if not isinstance(body, dict):
        raise ValueError(f"{MANIFEST} is damaged")
    # Checksum and version stay where they are in every format, so that any of them is known.
    body = unsealed(body)
    version = body["format"]
    if isinstance(version, int) and version != FORMAT:
        age = "an earlier" if version < FORMAT else "a later"
        raise OtherFormatError(f"format {version}, of {age} version, where {FORMAT} is read")
    if version != FORMAT:
        raise ValueError(f"{MANIFEST} is damaged")
    if owner not in (None, body["owner"]):
        raise ValueError("it belongs to another run or configuration")
    return body
