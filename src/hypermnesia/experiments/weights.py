"""The final state of a trained method, as a file."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from hypermnesia.durable import told_as_run_error, write_bytes
from hypermnesia.errors import RunError
from hypermnesia.methods import Method, State
from hypermnesia.training.pack import pack, unpack


def write_weights(path: Path, method: Method) -> None:
    """Store the state of `method`: its tensors, and their places in it as metadata."""
    tree, tensors = pack(method.state_dict())
    write_bytes(path, safetensors.torch.save(tensors, metadata={"state": json.dumps(tree)}))


def read_state(path: Path) -> State:
    """What `write_weights` stored.

    Raises:
        RunError: the file is missing or damaged.
    """
    tensors: dict[str, Tensor] = {}
    try:
        with (
            told_as_run_error(
                path, "the weights must be readable", "train the seed anew with --overwrite"
            ),
            safetensors.safe_open(path, "pt") as file,
        ):
            tree = json.loads((file.metadata() or {})["state"])
            for name in file.keys():  # noqa: SIM118 (not iterable itself)
                tensors[name] = file.get_tensor(name)
        return unpack(tree, tensors)
    except (SafetensorError, KeyError, ValueError, RecursionError) as error:
        got = f"a damaged file ({error})"
        raise RunError(
            f"{path} must hold weights", got=got, cure="train the seed anew with --overwrite"
        ) from None
