"""Checkpoints of one run: saved so that a crash at any instant leaves a good one."""

from __future__ import annotations

import re
import reprlib
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from hypermnesia import state_files
from hypermnesia.data.stream import BatchStream
from hypermnesia.errors import DataError, RunError
from hypermnesia.methods.base import Method
from hypermnesia.seeding import Generators
from hypermnesia.state_files import Fields, State
from hypermnesia.storage import make_folder, os_errors_as_run_error, write_folder
from hypermnesia.training.evaluation import Progress
from hypermnesia.training.observers import Health, Observer
from hypermnesia.training.phases import Phase

FORMAT = 4
"""Version of the format; 3 held whole matrices, 1 and 2 named what a method keeps otherwise."""

_NAME = re.compile(r"step-(\d{12})")
_HINT = "make room or give access to the folder, then resume; earlier ones are intact"
_ANEW = "restore the folder from a copy, or start the run anew in another folder"


class OtherFormatError(Exception):
    """A checkpoint that is whole, and of another version of Hypermnesia."""


def encode(step: int, state: State, owner: str) -> dict[str, bytes]:
    """The files of a checkpoint, by name."""
    return state_files.encode_state({"format": FORMAT, "owner": owner, "step": step}, state)


def decode(folder: Path, owner: str | None) -> tuple[int, State]:
    """The step and the state that `folder` holds, of `owner` or, for None, of anyone.

    Raises `OtherFormatError`, or `ValueError` if a file is missing, damaged or of another owner.
    """

    def accept(fields: Fields) -> None:
        # Checksum and version stay where they are in every format, so that any is recognised.
        version = fields["format"]
        if isinstance(version, int) and version != FORMAT:
            age = "an earlier" if version < FORMAT else "a later"
            raise OtherFormatError(f"format {version}, of {age} version, where {FORMAT} is read")
        if version != FORMAT:
            raise ValueError(f"{state_files.MANIFEST} is damaged")
        if owner not in (None, fields["owner"]):
            raise ValueError("it belongs to another run or configuration")
        if not isinstance(fields["step"], int):
            raise ValueError("its step is no number")

    fields, state = state_files.decode_state(folder, accept)
    return fields["step"], state


@dataclass(frozen=True)
class Checkpoint:
    """The state that was saved under a step, and a line for each newer one that was no good."""

    step: int
    state: State
    skipped: tuple[str, ...]


class Store(Protocol):
    """Where checkpoints go."""

    def save(self, step: int, state: State) -> None:
        """Keep `state` as it is now; what is there of later steps may go."""

    def load_newest(self) -> Checkpoint | None:
        """The newest that is good; None if there are none at all."""


class MemoryStore:
    """The newest checkpoint alone, in the memory of the host: gone with the process."""

    def __init__(self) -> None:
        self._newest: tuple[int, tuple[state_files.Json, dict[str, Tensor]]] | None = None

    def save(self, step: int, state: State) -> None:
        """Keep a copy of `state`."""
        self._newest = step, state_files.pack(state)

    def load_newest(self) -> Checkpoint | None:
        """A copy of what was saved."""
        if self._newest is None:
            return None
        step, (tree, tensors) = self._newest
        copies = {name: tensor.clone() for name, tensor in tensors.items()}
        return Checkpoint(step, state_files.unpack(tree, copies), ())


class CheckpointStore:
    """The newest `keep` checkpoints in a folder, one folder each; raises `ValueError` for none.

    `owner` identifies configuration and seed: a checkpoint of another owner is not loaded.
    """

    def __init__(self, folder: Path, owner: str, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep must be 1 or more; got {keep}")
        self.folder, self.owner, self.keep = folder, owner, keep

    def save(self, step: int, state: State) -> None:
        """Store `state` durably, then remove those beyond `keep`, and any of later steps.

        Who saves an earlier step has gone back. A `RunError` (a full disk) leaves earlier ones.
        """
        files = encode(step, state, self.owner)
        with os_errors_as_run_error(self.folder, "checkpoints must be written", _HINT):
            make_folder(self.folder)
            write_folder(self._path(step), files)
            drop_others(self.folder, step, self.keep)

    def load_newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole and this owner's; None if there are none at all.

        Raises `RunError` if none is good, if one is of another version of Hypermnesia, whose work
        this one would undo, or if the folder cannot be read.
        """
        skipped: list[str] = []
        with os_errors_as_run_error(self.folder, "checkpoints must be read", _HINT):
            steps = steps_in(self.folder)
        for step in steps:
            path = self._path(step)
            try:
                return Checkpoint(step, load_step(path, step, self.owner), tuple(skipped))
            except ValueError as error:
                skipped.append(f"{path.name}: {error}")
            except OtherFormatError as error:
                rule = f"checkpoints must be of a format that this version reads, in {self.folder}"
                hint = "resume with the version of Hypermnesia that wrote it"
                raise RunError(rule, got=f"{path.name}: {error}", hint=hint) from None
        if not skipped:
            return None
        rule = f"a run goes on from a checkpoint of its own that is whole, in {self.folder}"
        raise RunError(rule, got="; ".join(skipped), hint=_ANEW)

    def _path(self, step: int) -> Path:
        return path_of(self.folder, step)


def path_of(folder: Path, step: int) -> Path:
    """The folder of a checkpoint among those in `folder`."""
    return folder / f"step-{step:012d}"


def drop_others(folder: Path, step: int, keep: int = 2) -> None:
    """Remove all checkpoints in `folder` but that of `step` and the `keep` - 1 before it."""
    steps = steps_in(folder)
    later = [each for each in steps if each > step]
    for each in later + steps[len(later) + keep :]:
        shutil.rmtree(path_of(folder, each))


def steps_in(folder: Path) -> list[int]:
    """Steps of the checkpoints that are in `folder`, newest first; none if it is not there."""
    folders = folder.iterdir() if folder.exists() else ()
    folders = (path for path in folders if path.is_dir() and not path.is_symlink())
    names = (_NAME.fullmatch(path.name) for path in folders)
    return sorted((int(name[1]) for name in names if name), reverse=True)


def load_step(path: Path, step: int, owner: str | None) -> State:
    """The state that a checkpoint's folder holds; raises as `decode` does, and for another step."""
    found, state = decode(path, owner)
    if found != step:
        raise ValueError(f"it was saved as step {found}")
    return state


@contextmanager
def misfit_as_run_error() -> Iterator[None]:
    """Raise a `RunError` for whatever a state does that is none of this run's."""
    try:
        yield
    except (DataError, RunError):
        raise
    except Exception as error:
        got = str(error).strip().partition("\n")[0] or type(error).__name__
        rule = "the state in a checkpoint must fit the run that goes on from it"
        raise RunError(rule, got=reprlib.repr(got), hint=_ANEW) from error


class Saver(Observer):
    """Saves and restores all that the rest of a run depends on.

    Within a phase it saves about `every` so many seconds, if `health` finds all updates good.
    """

    def __init__(
        self,
        store: Store,
        every: float,
        method: Method,
        generators: Generators,
        observer: Observer,
        progress: Progress,
        health: Health,
    ) -> None:
        self._store, self._every = store, every
        self.progress, self.health = progress, health
        self._parts: dict[str, Method | Generators | Observer] = {
            "method": method, "generators": generators, "observer": observer, "progress": progress
        }  # fmt: skip
        self._last = time.monotonic()
        self._stream: BatchStream | None = None
        self._position: State | None = None

    def restore(self) -> Checkpoint | None:
        """Put everything back to the newest good checkpoint; None if there are none."""
        found = self._store.load_newest()
        if found is not None:
            with misfit_as_run_error():
                for name, part in self._parts.items():
                    part.load_state_dict(found.state[name])
                self._position = found.state["stream"]
        return found

    def attach(self, stream: BatchStream) -> bool:
        """Save the position of a phase's `stream` from now on; whether one was restored."""
        self._stream, position, self._position = stream, self._position, None
        if position is None:
            return False
        with misfit_as_run_error():
            stream.load_state_dict(position)
        return True

    def due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return time.monotonic() - self._last >= self._every

    def on_update(self, phase: Phase, iteration: int, metrics: object) -> None:  # noqa: ARG002
        """Save now and then."""
        if iteration < phase.iterations and self.due():
            self.health.check()
            self.on_stop(phase)
            self.progress.training.start()

    def on_stop(self, phase: Phase) -> None:  # noqa: ARG002
        """Save within a phase."""
        self.progress.training.stop()
        self.save(self._stream.state_dict() if self._stream else None)

    def save(self, stream: State | None) -> None:
        """Save everything; `stream` is the position in a phase's data, None between phases."""
        state = {name: part.state_dict() for name, part in self._parts.items()}
        self._store.save(self.progress.done, {**state, "stream": stream})
        self._last = time.monotonic()
