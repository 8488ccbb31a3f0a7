"""Checkpoints of one run: saved so that a crash at any instant leaves a good one."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from hypermnesia.durable import make_folder, told_as_run_error, write_folder
from hypermnesia.errors import RunError
from hypermnesia.methods.base import State
from hypermnesia.training import manifest
from hypermnesia.training.pack import Json, pack, unpack

_NAME = re.compile(r"step-(\d{12})")
_CURE = "make room or give access to the folder, then resume; earlier ones are intact"


@dataclass(frozen=True)
class Checkpoint:
    """What was found.

    Attributes:
        step: the number it was saved under.
        state: what was saved.
        skipped: one line for each newer checkpoint that was no good, with the reason.
    """

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
        self._newest: tuple[int, tuple[Json, dict[str, Tensor]]] | None = None

    def save(self, step: int, state: State) -> None:
        """Keep a copy of `state`."""
        self._newest = step, pack(state)

    def load_newest(self) -> Checkpoint | None:
        """A copy of what was saved."""
        if self._newest is None:
            return None
        step, (tree, tensors) = self._newest
        copies = {name: tensor.clone() for name, tensor in tensors.items()}
        return Checkpoint(step, unpack(tree, copies), ())


class CheckpointStore:
    """The checkpoints in a folder, one folder each.

    Args:
        folder: where they are; created at the first save.
        owner: identifies configuration and seed; a checkpoint of another owner is not loaded.
        keep: how many of the newest to keep, 1 or more; with 2 a damaged one does not matter.

    Raises:
        ValueError: `keep` is less.
    """

    def __init__(self, folder: Path, owner: str, keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep must be 1 or more; got {keep}")
        self.folder, self.owner, self.keep = folder, owner, keep

    def save(self, step: int, state: State) -> None:
        """Store `state` durably, then remove those beyond `keep`.

        Checkpoints of later steps are removed too: who saves an earlier step has gone back,
        because they were no good.

        Raises:
            RunError: it cannot be written (a full disk); earlier checkpoints are intact.
        """
        files = manifest.encode(step, state, self.owner)
        with told_as_run_error(self.folder, "checkpoints must be written", _CURE):
            make_folder(self.folder)
            write_folder(self._path(step), files)
            steps = steps_in(self.folder)
            expendable = [later for later in steps if later > step]
            expendable += [earlier for earlier in steps if earlier <= step][self.keep :]
            for old in expendable:
                shutil.rmtree(self._path(old))

    def load_newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole and this owner's; None if there are none at all.

        Raises:
            RunError: there are checkpoints, but no good one; one is of another version of
                Hypermnesia, whose work this one would undo; or the folder cannot be read.
        """
        skipped: list[str] = []
        with told_as_run_error(self.folder, "checkpoints must be read", _CURE):
            steps = steps_in(self.folder)
        for step in steps:
            path = self._path(step)
            try:
                return Checkpoint(step, load_step(path, step, self.owner), tuple(skipped))
            except ValueError as error:
                skipped.append(f"{path.name}: {error}")
            except manifest.OtherFormatError as error:
                raise RunError(
                    f"checkpoints must be of a format that this version reads, in {self.folder}",
                    got=f"{path.name}: {error}",
                    cure="resume with the version of Hypermnesia that wrote it",
                ) from None
        if not skipped:
            return None
        raise RunError(
            f"a run goes on from a checkpoint of its own that is whole, in {self.folder}",
            got="; ".join(skipped),
            cure="restore the folder from a copy, or start the run anew in another folder",
        )

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:012d}"


def steps_in(folder: Path) -> list[int]:
    """Steps of the checkpoints that are in `folder`, newest first; none if it is not there.

    Raises:
        OSError: it cannot be read.
    """
    if not folder.exists():
        return []
    folders = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    names = (_NAME.fullmatch(path.name) for path in folders)
    return sorted((int(name[1]) for name in names if name), reverse=True)


def load_step(path: Path, step: int, owner: str | None) -> State:
    """The state that the checkpoint at `path` holds, which is to be of `step` and `owner`.

    Args:
        path: its folder.
        step: the number it must have been saved under.
        owner: whose it must be; None for anyone's.

    Raises:
        OtherFormatError: it is whole, but of a format version that this one does not read.
        ValueError: it is damaged, or another one.
    """
    found, state = manifest.decode(path, owner)
    if found != step:
        raise ValueError(f"it was saved as step {found}")
    return state
