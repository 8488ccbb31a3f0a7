"""Any module's linear layers in int8, without a change to the module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from hypermnesia.hypernet.groups import TaskGroup
from hypermnesia.hypernet.int8 import (
    INPUTS,
    Int8Inputs,
    Int8Weights,
    linear,
    rounded_inputs,
    rounded_weights,
)
from hypermnesia.hypernet.target import Target

_OUTPUTS = 64
"""Of a layer, at least: with fewer, rounding its inputs takes as long as the product in float32."""


def each_in_int8(target: Target, group: TaskGroup, x: Tensor) -> Float[Tensor, "tasks batch *rest"]:
    """Like `Target.each` on (batch, *sample) inputs, linear layers in int8; no gradients.

    Layers that are narrow or whose weights are not the group's, and all else, stay as they are.
    """
    with _Int8Layers(group, x):
        return torch.stack([group.run(target, place, x) for place in range(len(group.tasks))])


class _Int8Layers(TorchFunctionMode):
    """Within it, linear layers multiply in int8.

    Args:
        group: whose weights they are; the rounded ones are kept there.
        x: what all its networks see, rounded once.
    """

    def __init__(self, group: TaskGroup, x: Tensor) -> None:
        super().__init__()
        self._group, self._x = group, x
        self._seen: dict[tuple[int, torch.Size, tuple[int, ...]], Int8Inputs] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        call = self._linear if func is F.linear else func
        return call(*args, **(kwargs or {}))

    def _linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if not self._takes(weight):
            return F.linear(input, weight, bias)
        scores = linear(self._rows(input), self._rounded(weight), bias)
        return scores.view(*input.shape[:-1], len(weight))

    def _takes(self, weight: Tensor) -> bool:
        made = _same_storage(weight, self._group.weights) and weight.is_contiguous()
        return made and len(weight) >= _OUTPUTS and weight[0].numel() in INPUTS

    def _rounded(self, weight: Tensor) -> Int8Weights:
        key = int(weight.storage_offset()), weight.shape
        if key not in self._group.int8:
            self._group.int8[key] = rounded_weights(weight)
        return self._group.int8[key]

    def _rows(self, input: Tensor) -> Int8Inputs:
        if not _same_storage(input, self._x):
            return rounded_inputs(input.reshape(-1, input.shape[-1]))
        key = int(input.storage_offset()), input.shape, input.stride()
        if key not in self._seen:
            self._seen[key] = rounded_inputs(input.reshape(-1, input.shape[-1]))
        return self._seen[key]


def _same_storage(a: Tensor, b: Tensor) -> bool:
    return a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr()
