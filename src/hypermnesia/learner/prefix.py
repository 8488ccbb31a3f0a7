"""What a frozen part of a model gives to a data set, computed once and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from hypermnesia import tree
from hypermnesia.compute import undisturbed
from hypermnesia.errors import ConfigError
from hypermnesia.learner.checks import check_module, inputs_accepted
from hypermnesia.learner.inputs import InputSource, slices, source_of
from hypermnesia.modules import copied
from hypermnesia.state_files import decode_state, encode_state
from hypermnesia.storage import make_folder, os_errors_as_run_error, write_folder
from hypermnesia.tree import Tree

_FORMAT = 1


def frozen_features(
    module: nn.Module, x: Any, folder: str | Path | None = None, *, batch_size: int = 64
) -> Tree:
    """Run the part of a model that no task changes, once for all samples of a data set.

    A `ContinualLearner` of what comes behind it then learns from the features, and an update runs
    that alone. With a folder they are written there, and read when asked for again: under a
    checksum of the module's structure, parameters and buffers, and of all inputs. Code that has
    changed without these is not noticed.

    Args:
        module: run as it is to evaluate, without gradients, where it is; left unchanged.
        x: n inputs as of `ContinualLearner.predict`, which are the same each time they are read; of
            inputs with targets the former.
        folder: of this and other caches; made if need be. None: nothing is written.
        batch_size: inputs that are run at a time.

    Returns:
        A tensor of n rows, or a dict or tuple of such, as the module gives; on the CPU.

    Raises:
        ConfigError: a batch size below 1, or outputs that are no rows of one shape, one an input.
        TargetError: no module, or one that does not take the inputs.
        RunError: the folder cannot be written.
    """
    check_module(module)
    if batch_size < 1:
        raise ConfigError("batch_size must be 1 or more", got=batch_size)
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    source = source_of(x)
    with undisturbed(device), torch.no_grad():
        if folder is None:
            return _features(module, source, batch_size, device)
        fields = {"format": _FORMAT, "module": _digest(module), "inputs": _digest_of(source)}
        own = Path(folder) / hashlib.sha256(repr(fields).encode()).hexdigest()[:32]
        if (found := _read(own, fields)) is None:
            found = _features(module, source, batch_size, device)
            with os_errors_as_run_error(own.parent, "the folder must be writable"):
                make_folder(own.parent)
                write_folder(own, encode_state(fields, {"features": found}))
        return tuple(found) if isinstance(found, list) else found


def _features(
    module: nn.Module, source: InputSource, batch_size: int, device: torch.device
) -> Tree:
    network = copied(module, [*module.parameters(), *module.buffers()]).eval()
    parts = []
    for some in slices(source, batch_size):
        with inputs_accepted(some):
            found = tree.forward(network, tree.to(some, device))
        rows = {len(leaf) if leaf.ndim else 0 for leaf in tree.leaves(found)}
        if rows != {tree.batch_size(some)}:
            rule = "features must have a row for each input"
            raise ConfigError(rule, got=f"{sorted(rows)} for {tree.batch_size(some)} inputs")
        parts.append(tree.map(Tensor.cpu, found))
    shapes = sorted({str([tuple(leaf.shape[1:]) for leaf in tree.leaves(part)]) for part in parts})
    if len(shapes) > 1:
        rule, hint = "features of all batches must have one shape", "pad inputs to one length"
        raise ConfigError(rule, got=" and ".join(shapes[:2]), hint=hint)
    return tree.cat(parts)


def _read(folder: Path, fields: dict[str, Any]) -> Tree | None:
    """What a folder holds under these fields; None without it, or where it is damaged."""

    def accept(found: dict[str, Any]) -> None:
        if any(found.get(name) != value for name, value in fields.items()):
            raise ValueError("of something else")

    try:
        return decode_state(folder, accept)[1]["features"]
    except (ValueError, KeyError):
        return None


def _digest(module: nn.Module) -> str:
    """SHA-256 of a module's structure, parameters and buffers."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return _sha256(f"{type(module).__qualname__} {module}", tensors.items())


def _digest_of(source: InputSource) -> str:
    """SHA-256 of all inputs, whatever their batches."""

    def parts() -> Iterator[tuple[str, Tensor]]:
        for some in slices(source, 1 if source.alone else None):
            leaves, shape = pytree.tree_flatten(some)
            yield from ((f"{shape}", leaf) for leaf in leaves)

    return _sha256(f"{len(source)}", parts())


def _sha256(about: str, tensors: Any) -> str:
    digest = hashlib.sha256(about.encode())
    for name, tensor in tensors:
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(values.shape[1:])} {values.dtype}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
