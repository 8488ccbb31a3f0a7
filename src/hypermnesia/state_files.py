"""A state as two files, checked against each other byte for byte; data only, no pickle.

`tensors.safetensors` holds the tensors. `state.json` holds whatever identifies the state, the
SHA-256 of the tensor file, the state's JSON tree, and the SHA-256 of all that as canonical JSON.
Whoever forges both can change numbers; reading a state runs nothing.

In the tree, JSON values stand for themselves and lists for lists (a tuple comes back as a list).
What JSON cannot say is an object with one key: `{"dict": [[key, value], ...]}` keeps integer keys
and the order, `{"tensor": name}` points into the table, `{"float": "nan"}` covers NaN and infinity.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from hypermnesia.storage import canonical, read_bounded, sealed, sha256, unsealed

State = dict[str, Any]
"""Nested dicts and lists of tensors and plain values: what a checkpoint can hold."""

MISFITS = (LookupError, ArithmeticError, TypeError, AttributeError, ValueError, RuntimeError)
"""What `load_state_dict` may raise for the state of another method."""

Json = Any
"""What JSON can say: values, lists and objects of them."""

Fields = dict[str, Json]
"""What identifies a state, beside it in `state.json`."""

TENSORS = "tensors.safetensors"
"""Name of the file of tensors."""

MANIFEST = "state.json"
"""Name of the file that identifies the state and holds its tree."""

_MANIFEST_LIMIT = 256 * 2**20


def pack(state: State) -> tuple[Json, dict[str, Tensor]]:
    """The JSON tree of `state` and its tensors by name; `TypeError` for what is no such data.

    Tensors are copied to contiguous CPU memory of their own, so that views and tensors that
    share storage are stored as the values they show, and later training cannot change them.
    """
    tensors: dict[str, Tensor] = {}
    return _pack(state, "", tensors), tensors


def unpack(tree: Json, tensors: Mapping[str, Tensor]) -> State:
    """The state of which `pack` made `tree` and `tensors`; raises `ValueError` for any other."""
    if isinstance(state := _unpack(tree, tensors), dict):
        return state
    raise ValueError("the state must be a dict")


def _pack(value: object, path: str, tensors: dict[str, Tensor]) -> Json:
    if isinstance(value, Tensor):
        if value.layout != torch.strided:
            raise TypeError(f"a state's tensors are dense; got {value.layout} at '{path}'")
        name = f"{len(tensors)}{path}"
        tensors[name] = value.detach().to("cpu").clone(memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, Mapping):
        if strange := [type(key) for key in value if not _is_key(key)]:
            raise TypeError(f"a state's keys are str or int; got {strange[0]} at '{path}'")
        items = value.items()
        return {"dict": [[key, _pack(item, f"{path}/{key}", tensors)] for key, item in items]}
    if isinstance(value, list | tuple):
        return [_pack(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(float(value))}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a state holds plain data and tensors; got {type(value)} at '{path}'")


def _unpack(tree: Json, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(tree, list):
        return [_unpack(item, tensors) for item in tree]
    if not isinstance(tree, dict):
        return tree
    match tree:
        case {"dict": list(items)} if len(tree) == 1:
            return {key: _unpack(value, tensors) for key, value in map(_pair, items)}
        case {"tensor": str(name)} if len(tree) == 1 and name in tensors:
            return tensors[name]
        case {"float": "nan" | "inf" | "-inf" as text} if len(tree) == 1:
            return float(text)
    raise ValueError(f"not a packed value: an object with the keys {sorted(tree)[:3]}")


def _is_key(key: object) -> bool:
    return isinstance(key, str | int) and not isinstance(key, bool)


def _pair(item: Json) -> list[Json]:
    if not isinstance(item, list) or len(item) != 2:
        raise ValueError("not a packed dict: an item that is no pair of key and value")
    if not _is_key(item[0]):
        raise ValueError(f"not a packed key: {type(item[0])}")
    return item


def encode_state(fields: Fields, state: State) -> dict[str, bytes]:
    """The files of a state, by name; no field is called `tensors` or `state`."""
    tree, tensors = pack(state)
    content = safetensors.torch.save(tensors)
    about = {"sha256": sha256(content), "bytes": len(content)}
    manifest = sealed({**fields, "tensors": about, "state": tree})
    return {TENSORS: content, MANIFEST: canonical(manifest)}


def decode_state(folder: Path, accept: Callable[[Fields], None]) -> tuple[Fields, State]:
    """The fields and the state that `folder` holds; raises `ValueError` if they are damaged.

    `accept` is shown the fields before the tensors are read, and raises if they are not wanted.
    """
    try:
        body = json.loads(read_bounded(folder / MANIFEST, _MANIFEST_LIMIT))
        if not isinstance(body, dict):
            raise ValueError(f"{MANIFEST} is damaged")
        body = unsealed(body)
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
