"""Logs of a run: metrics.jsonl, and samples of a generative memory after each task."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from hypermnesia import storage
from hypermnesia.data.benchmarks import Permutation
from hypermnesia.data.types import Task
from hypermnesia.errors import RunError
from hypermnesia.evidence.autoencoders import Samples, sampler_of
from hypermnesia.methods import Method
from hypermnesia.seeding import Generators
from hypermnesia.state_files import State
from hypermnesia.training.observers import Observer
from hypermnesia.training.phases import Phase, Rows

OnMetrics = Callable[[Phase, int, Mapping[str, float]], None]
"""(phase, iteration in it from 1, metrics by name) -> None."""

_EACH = 8  # images of a task
_MOST_TASKS = 10
_MIXED = "mixed"
_LIMIT = 256 * 2**20  # bytes of a file
_HINT = "train the seed anew with --overwrite"


class MetricsLog(Observer):
    """Writes metrics `every` so many updates, and the rows of the accuracy matrix.

    Lines are `{"kind": "update", "task": 0, "iteration": 50, "loss": ..., ...}`, with whatever the
    method measures, and `{"kind": "evaluation", "task": 0, "scenario": ..., "accuracy": [...],
    "inference": [...]}`, where `task` is the last task begun, from 0, `iteration` counts from 1
    within it, `accuracy` is a share of the batch in the first and percent on each task seen in the
    second. What is not finite, or was not evaluated, is null. `on_metrics` is called with what was
    read off the device.
    """

    def __init__(self, path: Path, every: int = 50, on_metrics: OnMetrics | None = None) -> None:
        self.path, self.every, self._on_metrics = path, every, on_metrics
        self._size = 0
        self._lost: list[str] = []

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """Cut the file back to what a resumed run's checkpoint knows; begin anew without."""
        with self._open() as file:
            found = file.tell()
            if found < self._size:
                # Training does not depend on its diary: it goes on with a shorter one.
                self._lost = [f"{self.path.name}: {found} of {self._size} bytes are there"]
                self._size = 0
            file.truncate(self._size)

    def lost(self) -> Sequence[str]:
        """The log, if it no longer held what the checkpoint knows of."""
        return self._lost

    def on_update(self, phase: Phase, iteration: int, metrics: Mapping[str, Tensor]) -> None:
        """Log every `every`-th update, the first and the last of a phase."""
        if iteration % self.every and iteration not in (1, phase.iterations):
            return
        read = {name: float(value) for name, value in metrics.items()}
        values = {name: value if math.isfinite(value) else None for name, value in read.items()}
        self._write({"kind": "update", "task": phase.row, "iteration": iteration, **values})
        if self._on_metrics is not None:
            self._on_metrics(phase, iteration, read)

    def on_task_end(self, phase: Phase, rows: Rows) -> None:
        """Log a row of each scenario's accuracy matrix."""
        for scenario, row in rows.items():
            line = {"kind": "evaluation", "task": phase.row, "scenario": scenario}
            inference = [each.inference for each in row]
            known = None if inference[-1] is None else inference
            accuracy = [each.accuracy if each.known else None for each in row]
            self._write({**line, row[0].measure: accuracy, "inference": known})

    def state_dict(self) -> State:
        """The size in bytes of what is on the disk by now (fsync)."""
        with self._open() as file:
            os.fsync(file.fileno())
        return {"bytes": self._size}

    def load_state_dict(self, state: State) -> None:
        """Remember how much of the file is known; `on_start` cuts off the rest."""
        self._size = int(state["bytes"])

    def _write(self, line: Mapping[str, object]) -> None:
        content = (json.dumps(line, allow_nan=False) + "\n").encode()
        with self._open() as file:
            file.write(content)
        self._size += len(content)

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        hint = "make room or give access, then resume"
        refusal = storage.os_errors_as_run_error(self.path, "the log must be writable", hint)
        with refusal, storage.open_to_append(self.path) as file:
            yield file


def spread_out(tasks: int, most: int = _MOST_TASKS) -> tuple[int, ...]:
    """Tasks that stand for all: every one, or `most` evenly spread from the first to the last."""
    if tasks <= most:
        return tuple(range(tasks))
    return tuple(round(i * (tasks - 1) / (most - 1)) for i in range(most))


class SampleLog(Observer):
    """Writes images of every task that a generative memory knows, after each task.

    Only the tasks of `spread_out` are kept, and only after these. The random draws are the same
    after every task, and none of the training's: a run is the same with and without this log. The
    permutation of a task is undone. A method without a generative memory of images writes nothing.
    """

    def __init__(self, folder: Path, method: Method, seed: int) -> None:
        self.folder, self.method, self.seed = folder, method, seed
        self._tasks: Sequence[Task] = ()

    def on_start(self, tasks: Sequence[Task], total_iterations: int) -> None:  # noqa: ARG002
        """Learn which tasks there will be."""
        self._tasks = tasks

    def on_task_end(self, phase: Phase, rows: Rows) -> None:  # noqa: ARG002
        """Draw samples of the tasks so far, and write them."""
        chosen, sampler = spread_out(len(self._tasks)), sampler_of(self.method)
        if sampler is None or phase.row not in chosen:
            return
        known = [task for task in chosen if task <= phase.row]
        samples = sampler.samples(known, _EACH, Generators(self.seed))
        if all(_are_images(x) for x in samples.values()):
            rule = "the folder of samples must be writable"
            with storage.os_errors_as_run_error(self.folder, rule):
                storage.make_folder(self.folder)
            named = {_key(task): self._pixels(task, x) for task, x in samples.items()}
            path = samples_file(self.folder, phase.row)
            storage.write_bytes(path, safetensors.torch.save(named))

    def _pixels(self, task: int | None, x: Tensor) -> Tensor:
        """(n, channels, height, width) bytes, their permutation undone."""
        transform = None if task is None else self._tasks[task].train.transform
        x = transform.inverse(x) if isinstance(transform, Permutation) else x
        return x.clamp(0.0, 1.0).mul(255.0).round().to("cpu", torch.uint8).contiguous()


def samples_file(folder: Path, row: int) -> Path:
    """The file of the samples after the task `row`, counted from 0."""
    return folder / f"after_task_{row + 1}.safetensors"


def read_samples(path: Path, tasks: Sequence[int]) -> Samples:
    """What `SampleLog` wrote: (n, channels, height, width) uint8 images of `tasks`, or mixed ones.

    Raises `RunError` if the file is missing or damaged.
    """
    try:
        with storage.os_errors_as_run_error(path, "the samples must be readable", _HINT):
            stored = safetensors.torch.load(storage.read_bounded(path, _LIMIT))
        keys: list[int | None] = [None] if _MIXED in stored else list(tasks)
        samples: Samples = {task: stored[_key(task)] for task in keys}
        for x in samples.values():
            if x.dtype != torch.uint8 or not _are_images(x) or len(x) != _EACH:
                raise ValueError(f"no {_EACH} images but {tuple(x.shape)} of {x.dtype}")
        if len({x.shape for x in samples.values()}) != 1:
            raise ValueError("images of several sizes")
    except (ValueError, KeyError, SafetensorError) as error:
        raise RunError(f"{path} must hold samples", got=str(error), hint=_HINT) from None
    return samples


def _key(task: int | None) -> str:
    return _MIXED if task is None else f"task_{task + 1}"


def _are_images(x: Tensor) -> bool:
    return x.dim() == 4 and x.shape[1] in (1, 3) and x.numel() > 0
