"""What `start="auto"` stands for: whether a model's values are ones to start from."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from hypermnesia.errors import RunError
from hypermnesia.hypernet.memory import StartName

_LIBRARIES = ("transformers", "peft", "timm", "sentence_transformers")
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_ROOM = 1.001  # beyond a bound, of what rounding makes


def settled(model: nn.Module, wanted: str) -> tuple[StartName, str]:
    """The start that is wanted or, of `auto`, the one that suits the model; and why this one."""
    if wanted != "auto":
        return ("pretrained" if wanted == "pretrained" else "scratch"), ""
    if library := _library(model):
        return "pretrained", f"the model is one of {library}"
    if any(not p.requires_grad for p in model.parameters()):
        return "pretrained", "parameters are frozen"
    signs = [sign for part in model.modules() if (sign := _trained(part)) is not None]
    if sum(signs) > len(signs) / 2:
        return "pretrained", "its values are not those of an initialisation"
    return "scratch", "its values are those of an initialisation"


def _library(model: nn.Module) -> str:
    """The library of models that the model, or a part of it, is from; empty for none."""
    kinds = {kind for part in model.modules() for kind in type(part).__mro__}
    roots = {kind.__module__.partition(".")[0] for kind in kinds}
    return next((name for name in _LIBRARIES if name in roots), "")


@torch.no_grad()
def _trained(layer: nn.Module) -> bool | None:
    """Whether a layer of torch's was trained, by values that no initialisation has; None: unknown.

    A norm starts with all scales alike. A bias starts at one number, or within the bound of torch's
    own draws; so does a matrix, unless it was drawn anew: from a uniform or a normal distribution.
    """
    if isinstance(layer, _NORMS):
        weight = getattr(layer, "weight", None)
        return None if weight is None or weight.numel() < 2 else not _constant(weight)
    bias, weight = getattr(layer, "bias", None), getattr(layer, "weight", None)
    drawn = isinstance(layer, nn.Linear | nn.modules.conv._ConvNd)
    if not drawn or not isinstance(weight, Tensor) or weight.numel() < 2:
        return None
    bound = _ROOM / math.sqrt(math.prod(weight.shape[1:]))
    if isinstance(bias, Tensor) and bias.numel() > 1:
        if _constant(bias):
            return False
        if bias.abs().max().item() > bound:
            return True
    return weight.abs().max().item() > bound and not _usual(weight)


def _usual(weight: Tensor) -> bool:
    """Whether values look uniform or normal, about 0."""
    deviations = weight.flatten().double() - weight.double().mean()
    variance = deviations.square().mean()
    if not variance > 0 or deviations.abs().max() <= _ROOM * math.sqrt(3) * variance.sqrt() * 1.05:
        return True
    kurtosis = deviations.pow(4).mean() / variance.square()
    return bool((kurtosis - 3).abs() < 5 * math.sqrt(24 / weight.numel()))


def _constant(values: Tensor) -> bool:
    return bool((values == values.flatten()[0]).all())


def checksums(model: nn.Module, learned: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the values, by name, of all parameters but those that are `learned` and kept."""
    kept = set(learned)
    others = {name: p for name, p in model.named_parameters() if name not in kept}
    return {name: _checksum(parameter) for name, parameter in others.items()}


def _checksum(parameter: Tensor) -> str:
    values = parameter.detach().cpu().contiguous().flatten()
    return hashlib.sha256(values.view(torch.uint8).numpy().data).hexdigest()


def check_base(stored: dict[str, Any], model: nn.Module) -> None:
    """Raise `RunError`, by the name of a parameter, unless a model has the values noted."""
    found = {name: p for name, p in model.named_parameters() if name in stored}
    for name, noted in stored.items():
        if name not in found or _checksum(found[name]) != noted:
            rule = "a learner whose weights start at a model's own needs that model"
            hint = "load the values that the learner was made with"
            raise RunError(rule, got=f"other values of '{name}'", hint=hint)
