"""A learner of tables in a folder: what it learned, which columns it reads, how well it answers.

`data.json` says which of the files beside it are valid, and is replaced in one step after each
task: a fit that is cut off loses that task only. `held_out-N.npz` are rows that none learned from.
"""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter, ValidationError
from torch import nn

from hypermnesia import storage
from hypermnesia.data.types import hold_out
from hypermnesia.errors import ConfigError, DataError, RunError
from hypermnesia.learner.columns import Columns, scaled
from hypermnesia.learner.learner import ContinualLearner
from hypermnesia.learner.quality import HeldOut, Quality, is_regression, measured
from hypermnesia.learner.tables import Table, Values
from hypermnesia.nets import NETS, NetSettings, build_net, net_settings
from hypermnesia.registry import check_known_modules
from hypermnesia.seeding import Generators

DATA = "data.json"
"""The file that says what a folder holds."""

_KIND, _FORMAT = "hypermnesia learner of tables", 1
Index = Annotated[int, Field(ge=1, le=10**6)]
"""The number of a task's files, from 1."""
Rows = NDArray[np.int64]
"""(n,) numbers of rows, from 0."""
Samples = tuple[NDArray[np.float32], Values]
"""(n, *sample) inputs and (n,) targets."""


@dataclass(frozen=True)
class Entry:
    """A task as it was learned.

    Attributes:
        rows: how many were learned from; `held_out` were not.
        digest: of all of them, by which the same rows are recognised.
        labels: its classes, as texts; None in regression.
        file: number of the file with the rows held out; None without any.
    """

    name: str
    rows: int
    held_out: int
    digest: str
    labels: tuple[str, ...] | None
    file: Index | None


@dataclass(frozen=True)
class Record:
    """What `data.json` says.

    Attributes:
        model: a network's name and widths (`mlp:200,200`), or `package.module:name`.
        outputs: of the model as it is made, before its last layer follows the tasks.
        step: number of the folder with the learner, which rises by 1 a task.
        holdout: share of a task's rows that is held out.
    """

    columns: Columns
    model: str
    outputs: int
    holdout: float
    step: int = 0
    tasks: tuple[Entry, ...] = ()
    quality: Quality = field(default_factory=Quality)


def is_table_learner(path: Path) -> bool:
    """Whether a folder holds a learner of tables, damaged or not."""
    return (path / DATA).is_file()


def last_step(folder: Path) -> int:
    """The number of the last state in a folder, valid or not; 0 if there is none."""
    found = [path.name.removeprefix("learner-") for path in folder.glob("learner-*")]
    return max((int(each) for each in found if each.isdecimal()), default=0)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder for one fit at a time; it is gone again if nothing was learned.

    Raises `RunError` if it holds other things than a learner, or is in use.
    """
    own = (DATA, ".lock")
    there = folder.iterdir() if folder.is_dir() else [folder] if folder.exists() else []
    others = [each for each in there if each.name not in own and not _is_ours(each)]
    if others:
        rule, hint = "a learner needs a folder of its own", "choose another with --out"
        raise RunError(rule, got=f"{folder}, with {others[0].name}", hint=hint)
    try:
        with storage.locked(folder, what="a learner"):
            yield
    finally:
        if not is_table_learner(folder):
            (folder / ".lock").unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()


def _is_ours(path: Path) -> bool:
    return path.name.startswith(("learner-", "held_out-", ".new-", ".old-", ".writing-"))


def read_record(folder: Path) -> Record:
    """What a folder's `data.json` says; raises `RunError` if it is missing or damaged."""
    if not is_table_learner(folder):
        rule, hint = "a learner must be a folder that `hypermnesia fit` wrote", "check its name"
        raise RunError(rule, got=f"{folder}, which is none", hint=hint)
    try:
        fields = storage.unsealed(storage.read_json(folder / DATA))
        if (fields.pop("kind", None), fields.pop("format", None)) != (_KIND, _FORMAT):
            raise ValueError("of another kind or version")
        return TypeAdapter(Record).validate_python(fields)
    except (ValidationError, ValueError) as error:
        got = "fields of other types" if isinstance(error, ValidationError) else error
        rule, hint = f"{folder / DATA} must be as it was written", "fit anew with --overwrite"
        raise RunError(rule, got=got, hint=hint) from None


def make_model(spec: str, shape: Sequence[int], outputs: int, seed: int) -> nn.Module:
    """The network that a text names: `mlp:200,200`, `lenet`, or `package.module:name`.

    Raises `ConfigError` for an unknown name, or widths that are no whole numbers.
    """
    name, _, widths = spec.partition(":")
    if name not in NETS._entries or not widths:
        return build_net(spec, shape, outputs, Generators(seed))
    if not all(each.strip().isdecimal() for each in widths.split(",")):
        hint = "write for example mlp:200,200"
        raise ConfigError("widths of a model must be whole numbers", got=f"'{spec}'", hint=hint)
    kind = net_settings(name)
    settings: NetSettings = TypeAdapter(kind).validate_python({"hidden": widths.split(",")})
    return build_net(name, shape, outputs, Generators(seed), settings)


@dataclass(frozen=True)
class Lesson:
    """A task's rows in a table: those to learn from, and those held out."""

    name: str
    learned: Rows
    held_out: Rows


def lessons(
    table: Table, columns: Columns, name: str | None, holdout: float, seed: int
) -> list[Lesson]:
    """The tasks of a table in the order in which they appear; all rows are `name` where given.

    Raises `DataError` if a task has too few rows for some to be held out.
    """
    texts = table.texts(columns.task) if name is None and columns.task else None
    names = np.array([name] * len(table) if texts is None else texts)
    targets = columns.read_targets(table)
    found = []
    for task in dict.fromkeys(names.tolist()):
        rows = np.flatnonzero(names == task)
        count = max(int(holdout * len(rows)), int(holdout > 0))
        if count >= len(rows):
            hint = "give more, or --holdout 0"
            raise DataError(f"task {task!r} needs two rows or more", got=len(rows), hint=hint)
        of_class = None if columns.kind == "float" else _numbered(targets[rows])
        generator = Generators(seed)[f"held out {task}"]
        learned, held = hold_out(torch.from_numpy(rows), count, generator, of_class)
        apart = np.zeros(0, np.int64) if held is None else held.numpy()
        found.append(Lesson(task, learned.numpy(), apart))
    return found


def _numbered(labels: Any) -> torch.Tensor:
    """(n,) int64 numbers of labels."""
    return torch.from_numpy(np.unique(labels, return_inverse=True)[1].astype(np.int64))


class TableLearner:
    """A learner of tables: teach it with `learn`, ask `learner` what `columns` read of a table.

    Args:
        folder: where it is written, after each task.
        record: what it reads, and has learned.
        learner: what answers.
    """

    def __init__(self, folder: Path, record: Record, learner: ContinualLearner) -> None:
        self.folder, self.record, self.learner = folder, record, learner
        self._held_out = [_read_held_out(folder, each) for each in record.tasks]

    @classmethod
    def begin(
        cls, folder: Path, record: Record, settings: Mapping[str, Any], device: str | None = None
    ) -> TableLearner:
        """One that has learned nothing, with settings of a `ContinualLearner`."""
        seed = settings.get("seed", 0)
        shape = record.columns.shape
        model = make_model(record.model, shape, record.outputs, seed if type(seed) is int else 0)
        return cls(folder, record, ContinualLearner(model, device=device, **settings))

    @classmethod
    def load(cls, folder: Path, device: str | None = None) -> TableLearner:
        """The one in a folder; raises `RunError` if it is damaged.

        Raises `ConfigError` if its model is of a module that nobody has named.
        """
        record = read_record(folder)
        check_known_modules(record.model)
        model = make_model(record.model, record.columns.shape, record.outputs, 0)
        learner = ContinualLearner.load(_step(folder, record), model, device=device)
        return cls(folder, record, learner)

    def scale(self, table: Table, rows: Rows) -> None:
        """Settle how inputs are scaled by the rows learned first."""
        self.record = replace(self.record, columns=scaled(self.record.columns, table, rows))

    def read(self, table: Table) -> Samples:
        """(n, *sample) inputs and (n,) targets of a table."""
        return self.record.columns.read_inputs(table), self.record.columns.read_targets(table)

    def known(self, lesson: Lesson, samples: Samples) -> bool:
        """Whether it has learned these rows; raises `ConfigError` if others by this name."""
        entry = next((each for each in self.record.tasks if each.name == lesson.name), None)
        if entry is not None and entry.digest != _digest(lesson, samples):
            rule, got = "a task is learned once", f"{lesson.name!r}, learned from other rows"
            hint = "name these with --name, or learn all anew with --overwrite"
            raise ConfigError(rule, got=got, hint=hint)
        return entry is not None

    def learn(self, lesson: Lesson, samples: Samples) -> Entry:
        """Learn a task and write the folder; an error leaves it as it was before."""
        (x, y), (own, held) = samples, (lesson.learned, lesson.held_out)
        self.learner.fit(x[own], y[own], task=lesson.name)
        answers = self.learner.predict(x[held], task=lesson.name) if len(held) else y[held]
        rows = [*self._held_out, HeldOut(lesson.name, x[held], y[held], answers)]
        quality = measured(self.learner, rows, self.record.quality)
        entry = self._entry(lesson, samples)
        tasks, step = (*self.record.tasks, entry), self.record.step + 1
        self._write(replace(self.record, step=step, tasks=tasks, quality=quality), rows[-1])
        self._held_out = rows
        return entry

    def _entry(self, lesson: Lesson, samples: Samples) -> Entry:
        regression = is_regression(self.learner, samples[1])
        found = [] if regression else self.learner.classes(lesson.name).tolist()
        labels = None if regression else tuple(map(str, found))
        own, held = len(lesson.learned), len(lesson.held_out)
        file = self.record.step + 1 if held else None
        return Entry(lesson.name, own, held, _digest(lesson, samples), labels, file)

    def _write(self, record: Record, rows: HeldOut) -> None:
        """Write the learner and new rows, then the file that makes them valid; remove the rest."""
        with storage.os_errors_as_run_error(self.folder, "the learner's folder must be writable"):
            storage.make_folder(self.folder)
        self.learner.save(_step(self.folder, record), overwrite=True)
        if record.tasks[-1].file is not None:
            storage.write_bytes(self.folder / f"held_out-{record.step}.npz", rows.stored())
        fields = TypeAdapter(Record).dump_python(record, mode="json")
        sealed = storage.sealed({"kind": _KIND, "format": _FORMAT, **fields})
        storage.write_json(self.folder / DATA, sealed)
        self.record = record
        _clean(self.folder, record)


def _digest(lesson: Lesson, samples: Samples) -> str:
    rows = np.sort(np.concatenate([lesson.learned, lesson.held_out]))
    x, y = (each[rows] for each in samples)
    return hashlib.sha256(x.tobytes() + repr(y.tolist()).encode()).hexdigest()


def _step(folder: Path, record: Record) -> Path:
    return folder / f"learner-{record.step}"


def _clean(folder: Path, record: Record) -> None:
    """Remove what the record does not name: earlier states, and what was cut off."""
    kept = {_step(folder, record).name, *(f"held_out-{each.file}.npz" for each in record.tasks)}
    for path in (*folder.glob("learner-*"), *folder.glob("held_out-*.npz")):
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _read_held_out(folder: Path, entry: Entry) -> HeldOut:
    if entry.file is None:
        return HeldOut(entry.name, np.zeros((0, 1), np.float32), np.zeros(0), np.zeros(0))
    path = folder / f"held_out-{entry.file}.npz"
    try:
        with np.load(io.BytesIO(storage.read_bounded(path, 2**34)), allow_pickle=False) as file:
            return HeldOut(entry.name, file["x"], file["y"], file["answers"])
    except (OSError, ValueError, KeyError, EOFError) as error:
        got, hint = f"{error!s:.80}", "fit anew with --overwrite"
        raise RunError(f"{path} must be as it was written", got=got, hint=hint) from None
