"""A state as two files, checked against each other byte for byte.

`tensors.safetensors` holds the tensors. `state.json` holds whatever identifies the state, the
SHA-256 of the tensor file, the state's JSON tree, and the SHA-256 of all that as canonical JSON.
Whoever forges both can change numbers; reading a state runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError

from hypermnesia.checksums import canonical, sealed, sha256, unsealed
from hypermnesia.durable import read_bounded
from hypermnesia.methods.base import State
from hypermnesia.training.pack import Json, pack, unpack

TENSORS = "tensors.safetensors"
"""Name of the file that holds the tensors."""

MANIFEST = "state.json"
"""Name of the file that holds everything else."""

_MANIFEST_LIMIT = 256 * 2**20

Fields = dict[str, Json]
"""What identifies a state, beside it in `state.json`."""


def encode_state(fields: Fields, state: State) -> dict[str, bytes]:
    """The files of a state, by name; no field is called `tensors` or `state`."""
    tree, tensors = pack(state)
    content = safetensors.torch.save(tensors)
    about = {"sha256": sha256(content), "bytes": len(content)}
    body = {**fields, "tensors": about, "state": tree}
    return {TENSORS: content, MANIFEST: canonical(sealed(body))}


def decode_state(folder: Path, accept: Callable[[Fields], None]) -> tuple[Fields, State]:
    """The fields and the state that `folder` holds.

    Args:
        folder: where the files are.
        accept: is shown the fields before the tensors are read; raises if they are not those of a
            state that is wanted.

    Raises:
        ValueError: a file is missing or damaged.
    """
    try:
        body = _read_manifest(folder)
        accept(body)
        about, tree = body.pop("tensors"), body.pop("state")
        content = read_bounded(folder / TENSORS, about["bytes"])
        if sha256(content) != about["sha256"]:
            raise ValueError(f"the checksum of {TENSORS} is wrong")
        return body, unpack(tree, safetensors.torch.load(content))
    except OSError as error:
        raise ValueError(f"{error.strerror}: {Path(error.filename or folder).name}") from error
    except (SafetensorError, KeyError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"it is not laid out as it should be ({type(error).__name__})") from error


def _read_manifest(folder: Path) -> Fields:
    body = json.loads(read_bounded(folder / MANIFEST, _MANIFEST_LIMIT))
    if not isinstance(body, dict):
        raise ValueError(f"{MANIFEST} is damaged")
    return unsealed(body)
