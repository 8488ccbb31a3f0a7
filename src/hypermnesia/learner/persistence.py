"""A learner as a folder: its state, and the JSON that says what it is of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from hypermnesia import storage
from hypermnesia.errors import RunError
from hypermnesia.evidence import is_density
from hypermnesia.learner.choice import restored
from hypermnesia.learner.design import Design
from hypermnesia.learner.knowledge import Knowledge, TaskRecord
from hypermnesia.learner.settings import LearnerSettings
from hypermnesia.learner.targets import Own, from_json, to_json
from hypermnesia.registry import check_known_modules
from hypermnesia.state_files import MANIFEST, MISFITS, Fields, State, decode_state, encode_state
from hypermnesia.storage import folder_held, os_errors_as_run_error, write_folder

FORMAT = 4
"""Version of the format."""

_KIND = "hypermnesia.ContinualLearner"
_MOST_COMPRESSION = 100  # weights of an autoencoder for each number that is stored
T = TypeVar("T")


def _check_size(design: Design, state: State) -> None:
    """Raise `ValueError` for a design of networks that are too large for what `state` holds."""
    stored = sum(tensor.numel() for tensor in tree_leaves(state) if isinstance(tensor, Tensor))
    autoencoder, claimed = design.autoencoder, 0
    for each in (design.hypernet, autoencoder.hypernet if autoencoder else None):
        if each is not None:
            widths = [each.task_embedding, *each.hidden, each.chunk or 1]
            claimed += each.chunk_embedding + sum(a * b for a, b in pairwise(widths))
    weights = autoencoder.weights if autoencoder else 0
    if claimed > stored or weights > _MOST_COMPRESSION * stored:
        raise ValueError("networks that are larger than its file")


def save(knowledge: Knowledge, path: Path, *, overwrite: bool) -> None:
    """Write a learner's knowledge to the folder at `path`, completely or not at all.

    Raises `RunError` for a density of the user's own.
    """
    if is_density(knowledge.settings.infer_task):
        rule, hint = "a density of your own cannot be saved", "use infer_task='gaussian'"
        raise RunError(rule, got=type(knowledge.settings.infer_task).__name__, hint=hint)
    settings = TypeAdapter(LearnerSettings).dump_python(knowledge.settings, mode="json")
    design = TypeAdapter(Design).dump_python(knowledge.design, mode="json")
    tasks = [_stored(record) for record in knowledge.records]
    fields = {"kind": _KIND, "format": FORMAT, "model": description(knowledge.model)}
    fields |= {"settings": settings, "design": design, "tasks": tasks}
    if knowledge.design.start == "pretrained":
        from hypermnesia.learner.start import checksums  # which few need

        fields["base"] = checksums(knowledge.model, _kept(knowledge))
    # New tasks start with the buffers of the template, which a model made anew may lack.
    buffers = dict(knowledge.model.named_buffers())
    files = encode_state(fields, {**knowledge.state_dict(), "buffers": buffers})
    path = Path(os.path.realpath(path))  # links are followed, not replaced
    hint = "check access and free space, or choose another folder"
    with os_errors_as_run_error(path, "the learner must be written", hint):
        storage.make_folder(path.parent)
        with folder_held(path.parent):
            _settle(path)
            _check_free(path, files, overwrite=overwrite)
            _write(path, files)


def _kept(knowledge: Knowledge) -> list[str]:
    """Names of shared parameters that are learned and stored."""
    memory = getattr(knowledge.method, "memory", None)
    return [*memory.target.kept] if memory else []


def _write(path: Path, files: dict[str, bytes]) -> None:
    """Write a folder; one in its place is removed when the new one is there in full."""
    new, old = path.with_name(f".new-{path.name}"), _before(path)
    write_folder(new, files)
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    new.rename(path)
    storage.sync_folder(path.parent)
    shutil.rmtree(old, ignore_errors=True)


def _before(path: Path) -> Path:
    """Where the learner that is overwritten waits until the new one is in its place."""
    return path.with_name(f".old-{path.name}")


def _settle(path: Path) -> None:
    """Put back the learner that a save was overwriting when it was cut off."""
    if not path.exists() and (_before(path) / MANIFEST).is_file():
        _before(path).rename(path)


class Stored:
    """The folder of a learner; raises `RunError` if it is missing, damaged or of later format."""

    def __init__(self, path: Path) -> None:
        self.path = path = Path(os.path.realpath(path))
        rule, hint = "the learner must be readable", "check its name, and access"
        try:
            with os_errors_as_run_error(path, rule, hint), folder_held(path.parent):
                _settle(path)
                self._fields, self._state = decode_state(path, _accept)
        except ValueError as error:
            raise _unreadable(path, str(error)) from None

    @cached_property
    def settings(self) -> LearnerSettings:
        """The user's choices."""
        check_known_modules(self._fields.get("settings"))
        return self._read(LearnerSettings, "settings")

    def knowledge(
        self, model: nn.Module, device: torch.device, own: Own | None = None
    ) -> Knowledge:
        """What it had learned, for a model like its own, which gets its buffers; else raises."""
        design = self._read(Design, "design")
        try:
            check_same(self._fields["model"], description(model), f"{self.path} holds")
            for name, buffer in model.named_buffers():
                buffer.copy_(self._state["buffers"][name])
            if "base" in self._fields:
                from hypermnesia.learner.start import check_base

                check_base(self._fields["base"], model)
            _check_size(design, self._state)
            knowledge = Knowledge(model, self.settings, design, device, own)
            knowledge.records = [_record(stored) for stored in self._fields["tasks"]]
            knowledge.load_state_dict(self._state)
            if len(knowledge.records) != len(knowledge.method.scenario.heads):
                raise ValueError("another number of tasks")
        except RunError:
            raise
        except MISFITS as error:
            raise _unreadable(self.path, f"{type(error).__name__}: {error!s:.80}") from None
        return knowledge

    def _read(self, kind: type[T], name: str) -> T:
        try:
            return TypeAdapter(kind).validate_python(self._fields[name])
        except (ValidationError, KeyError) as error:
            raise _unreadable(self.path, f"{name}: {type(error).__name__}") from None


def _accept(fields: Fields) -> None:
    if fields.get("kind") != _KIND:
        raise ValueError(f"{MANIFEST} is not that of a learner")
    if (version := fields["format"]) != FORMAT:
        age = "newer" if version > FORMAT else "older"
        raise ValueError(f"its format version {version} is {age} than {FORMAT}")


def _unreadable(path: Path, got: str) -> RunError:
    rule = f"{path} must hold a learner that this version of hypermnesia can read"
    hint = "restore it from a copy, or install the version that wrote it"
    return RunError(rule, got=got, hint=hint)


def _check_free(path: Path, files: Collection[str], *, overwrite: bool) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if not overwrite:
        hint = "choose another one, or set overwrite=True"
        raise RunError("a learner is saved to a new folder", got=f"{path}, which exists", hint=hint)
    if not path.is_dir() or not (path / MANIFEST).is_file():
        raise RunError("only a learner is overwritten", got=f"{path}, which is none")
    for strange in (file for file in path.iterdir() if file.name not in files):
        got = f"another file too: {strange}"
        raise RunError("only a learner is overwritten", got=got, hint="move it")


def _stored(record: TaskRecord) -> Fields:
    own = {**vars(record), "name": to_json(record.name), "targets": record.targets.stored()}
    return own if record.adapted else {name: own[name] for name in own if name != "adapted"}


def _record(stored: Fields) -> TaskRecord:
    name = from_json(stored["name"])
    counts, adapted = (stored["samples"], stored["updates"]), stored.get("adapted", False)
    return TaskRecord(name, restored(stored["targets"]), *counts, adapted)


def description(model: nn.Module) -> list[Any]:
    """What must be the same of a model: torch's layers, shapes of tensors, what is frozen."""
    modules = [(name, type(part)) for name, part in model.named_modules()]
    layers = [[name, k.__name__] for name, k in modules if k.__module__.startswith("torch.nn.")]
    learned, parameters = {True: "learned", False: "frozen"}, model.named_parameters()
    shapes = [[name, list(p.shape), learned[p.requires_grad]] for name, p in parameters]
    buffers = [[name, list(buffer.shape), "buffer"] for name, buffer in model.named_buffers()]
    return layers + shapes + buffers


def check_same(stored: Any, given: list[Any], what: str) -> None:
    """Raise `RunError` unless two descriptions of models are the same."""
    if stored == given:
        return
    missing = next((each for each in stored if each not in given), None)
    strange = next((each for each in given if each not in stored), None)
    got = f"{_described(strange)}, where it had {_described(missing)}"
    hint = "make the model as it was when the learner was saved"
    raise RunError(f"{what} a learner of another model", got=got, hint=hint)


def _described(part: Any) -> str:
    return "nothing of the kind" if part is None else f"'{part[0]}' " + " ".join(map(str, part[1:]))
