"""The final weights of a training: tensors, and the state that they make up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open

from hypermnesia.checksums import compare
from hypermnesia.durable import check_regular, write_bytes
from hypermnesia.errors import RunError
from hypermnesia.methods.base import State
from hypermnesia.training.pack import pack, unpack


def write_weights(path: Path, state: State) -> None:
    """Store the `state` of a method: a safetensors file with the state's tree as metadata.

    Raises:
        RunError: it cannot be written.
    """
    tree, tensors = pack(state)
    write_bytes(path, safetensors.torch.save(tensors, metadata={"state": json.dumps(tree)}))


def read_weights(path: Path, noted: Mapping[str, Any] | None) -> State:
    """What `write_weights` stored; `load_state_dict` of a method takes it.

    Args:
        path: the file.
        noted: its size and checksum, from the training's result; None where there was no such
            note yet.

    Raises:
        RunError: it is damaged.
    """
    try:
        check_regular(path)
        if noted is not None:
            compare(path, noted)
        with safe_open(path, "pt") as file:
            tree = json.loads((file.metadata() or {})["state"])
            return unpack(tree, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(
            f"{path} must hold weights as they were written",
            got=_what(error),
            cure=f"restore it; or move {path.parent / 'result.json'} away and resume, which trains "
            "the seed again, from its last checkpoint if it has one",
        ) from error


def _what(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no file"
    return f"no {error}" if isinstance(error, KeyError) else str(error)
