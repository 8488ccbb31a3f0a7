"""Modules of others: which can be used, copies of them, and their mode."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils import _pytree as pytree

from hypermnesia.errors import TargetError

_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def check_supported(module: nn.Module) -> None:
    """Raise `TargetError` for a module whose parameters cannot be made by a hypernetwork."""
    for name, part in module.named_modules():
        _check_part(name or type(module).__name__, part)
    for name, parameter in (*module.named_parameters(), *module.named_buffers()):
        if is_lazy(parameter):
            rule, hint = "a lazy layer must know its sizes", "call the model once on a batch"
            raise TargetError(rule, got=f"'{name}' without any", hint=hint)
        if parameter.is_meta:
            rule, hint = "a model must hold values", "make it on the CPU, not on the meta device"
            raise TargetError(rule, got=f"'{name}' without any", hint=hint)
    for name, parameter in module.named_parameters():
        if parameter._backward_hooks:
            rule = "a hook on a parameter would not see the generated values"
            hint = "change the gradient in forward, or by a hook on the module"
            raise TargetError(rule, got=f"one on '{name}'", hint=hint)
        if parameter.requires_grad and parameter.dtype != torch.get_default_dtype():
            rule = f"parameters that are learned must be {torch.get_default_dtype()}"
            hint = "convert the model to it (model.to); a complex one is two real ones"
            raise TargetError(rule, got=f"'{name}' of {parameter.dtype}", hint=hint)


def _check_part(name: str, part: nn.Module) -> None:
    if isinstance(part, torch.jit.ScriptModule):
        rule, hint = "a model must be plain Python", "give it as it was before torch.jit"
        raise TargetError(rule, got=f"'{name}', a {type(part).__name__}", hint=hint)
    if isinstance(part, _WRAPPERS):
        rule, hint = "a model must not be spread over devices", "give its attribute module"
        raise TargetError(rule, got=f"'{name}', a {type(part).__name__}", hint=hint)


def copied(module: nn.Module, shared: Collection[Tensor] = ()) -> nn.Module:
    """Copy a module, with its modes; `shared` tensors become the copy's own, uncopied.

    Tensors that a forward pass has left behind (activations, a weight that a hook computes) are
    copied without their history. Raises `TargetError` for a module that cannot be copied.
    """
    memo = {id(tensor): tensor for tensor in shared}
    memo |= {id(left): left.detach().clone() for left in _left_behind(module)}
    try:
        made = copy.deepcopy(module, memo)
    except (RuntimeError, TypeError) as error:
        rule, hint = "a model must be one that copy.deepcopy copies", "keep such things outside it"
        got = str(error).partition("\n")[0]
        raise TargetError(rule, got=f"{type(module).__name__}: {got}", hint=hint) from error
    allowed = {id(tensor) for tensor in shared}
    before = {id(p) for p in module.parameters()} - allowed
    if any(id(p) in before for p in made.parameters()):
        rule, hint = "a copy of a model must have parameters of its own", "mend its __deepcopy__"
        raise TargetError(rule, got=type(module).__name__, hint=hint)
    return made


def _left_behind(module: nn.Module) -> Iterator[Tensor]:
    """Yield the tensors in a module that are part of a graph."""
    for part in module.modules():
        own = {n: v for n, v in vars(part).items() if n not in ("_modules", "_parameters")}
        for leaf in pytree.tree_leaves(own):
            if isinstance(leaf, Tensor) and not leaf.is_leaf:
                yield leaf


def parts_in_eval(module: nn.Module) -> list[str]:
    """Name the parts that the user has put into eval mode in a module that is to be trained.

    A module that is wholly in eval mode has none: it was only never put back.
    """
    return [n for n, part in module.named_modules() if not part.training] if module.training else []


def statistics(module: nn.Module) -> list[str]:
    """Name the norms that go by statistics of earlier samples in eval mode."""
    norms = nn.modules.batchnorm._NormBase
    return [n for n, p in module.named_modules() if isinstance(p, norms) and p.track_running_stats]


def train(module: nn.Module, in_eval: Collection[str]) -> None:
    """Put a module into training mode, but for what the user holds in eval mode."""
    module.train()
    for name in in_eval:
        module.get_submodule(name).train(False)


def dense(module: nn.Module) -> nn.Module:
    """Let embeddings give ordinary gradients: the values are the same, and all can add them."""
    for part in module.modules():
        if isinstance(part, nn.Embedding | nn.EmbeddingBag):
            part.sparse = False
    return module


class Slots:
    """The places of a module's parameters and buffers, to put other tensors there.

    A tied parameter has several. The module is one that nobody else uses.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self._places: dict[str, list[tuple[dict[str, Any], str]]] = {}
        self._own: list[tuple[dict[str, Any], dict[str, Any]]] = []
        names: dict[int, str] = {}
        for prefix, part in module.named_modules():
            for kept in (part._parameters, part._buffers):
                self._own.append((kept, dict(kept)))
                for key, tensor in kept.items():
                    if tensor is not None:
                        name = names.setdefault(id(tensor), f"{prefix}.{key}".lstrip("."))
                        self._places.setdefault(name, []).append((kept, key))

    def put(self, tensors: Mapping[str, Tensor]) -> None:
        """Put tensors in, by name, to stay there; whatever else was put in or made is gone."""
        self.restore()
        for name, tensor in tensors.items():
            for kept, key in self._places.get(name) or self._place_of_buffer(name):
                kept[key] = tensor

    def restore(self) -> None:
        """Put the module's own tensors back."""
        for kept, own in self._own:
            if kept or own:
                kept.clear()
                kept.update(own)

    def _place_of_buffer(self, name: str) -> list[tuple[dict[str, Any], str]]:
        """Return the place of a buffer that a forward pass has made."""
        owner, _, key = name.rpartition(".")
        return [(self.module.get_submodule(owner)._buffers, key)]

    @contextmanager
    def holding(self, tensors: Mapping[str, Tensor]) -> Iterator[None]:
        """Put tensors in, by name, for a while."""
        self.put(tensors)
        try:
            yield
        finally:
            self.restore()
