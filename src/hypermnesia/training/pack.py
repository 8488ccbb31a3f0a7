"""A state as JSON and a flat table of tensors, and back: data only, no pickle.

JSON values stand for themselves and lists for lists (a tuple comes back as a list). What JSON
cannot say is an object with one key: `{"dict": [[key, value], ...]}` keeps integer keys and the
order, `{"tensor": name}` points into the table, `{"float": "nan"}` covers NaN and infinities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hypermnesia.methods.base import State

Json = Any
"""What JSON can say: values, lists and objects of them."""


def pack(state: State) -> tuple[Json, dict[str, Tensor]]:
    """The JSON tree of `state` and its tensors by name.

    Tensors are copied to contiguous CPU memory of their own, so that views and tensors that
    share storage are stored as the values they show, and later training cannot change them.

    Raises:
        TypeError: a value is neither plain data nor a dense tensor, or a key not str or int.
    """
    tensors: dict[str, Tensor] = {}
    return _pack(state, "", tensors), tensors


def unpack(tree: Json, tensors: Mapping[str, Tensor]) -> State:
    """The state of which `pack` made `tree` and `tensors`.

    Raises:
        ValueError: the tree is not one that `pack` makes, or names a tensor that is missing.
    """
    state = _unpack(tree, tensors)
    if not isinstance(state, dict):
        raise ValueError("the state must be a dict")
    return state


def _pack(value: object, path: str, tensors: dict[str, Tensor]) -> Json:
    if isinstance(value, Tensor):
        name = f"{len(tensors)}{path}"
        tensors[name] = _own_copy(value, path)
        return {"tensor": name}
    if isinstance(value, Mapping):
        items = [(_key(key, path), item) for key, item in value.items()]
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
            pairs = (_pair(item) for item in items)
            return {_loaded_key(key): _unpack(item, tensors) for key, item in pairs}
        case {"tensor": str(name)} if len(tree) == 1 and name in tensors:
            return tensors[name]
        case {"float": "nan" | "inf" | "-inf" as text} if len(tree) == 1:
            return float(text)
    raise ValueError(f"not a packed value: an object with the keys {sorted(tree)[:3]}")


def _key(key: object, path: str) -> str | int:
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise TypeError(f"a state's keys are str or int; got {type(key)} at '{path}'")
    return key


def _pair(item: Json) -> tuple[Json, Json]:
    if not isinstance(item, list) or len(item) != 2:
        raise ValueError("not a packed dict: an item that is no pair of key and value")
    return item[0], item[1]


def _loaded_key(key: object) -> str | int:
    if isinstance(key, bool) or not isinstance(key, str | int):
        raise ValueError(f"not a packed key: {type(key)}")
    return key


def _own_copy(value: Tensor, path: str) -> Tensor:
    if value.layout != torch.strided:
        raise TypeError(f"a state's tensors are dense; got {value.layout} at '{path}'")
    return value.detach().to("cpu").clone(memory_format=torch.contiguous_format)
