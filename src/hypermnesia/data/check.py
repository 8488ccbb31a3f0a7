"""Samples that nothing can be learned from, refused before training begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from hypermnesia.data.types import Part, Task
from hypermnesia.errors import DataError


def check_samples(tasks: Sequence[Task]) -> None:
    """Raise `DataError` for inputs that are not finite, or labels that are none of the task's.

    Few classes, few samples, constant or repeated ones are no error: there is little to learn
    from them, and that little is learned. Inputs that tasks share are looked at once.
    """
    finite: dict[int, bool] = {}
    for task in tasks:
        for kind, part in _parts(task):
            where = f"'{task.name}', {kind} samples"
            if id(part.x) not in finite:
                finite[id(part.x)] = _finite(part.x)
            if not finite[id(part.x)]:
                raise DataError(
                    "inputs must be finite numbers",
                    got=f"NaN or an infinity in the inputs of {where}",
                    cure="leave such samples out, or fill in what is missing",
                )
            _check_labels(part.y, task.outputs, where)


def _parts(task: Task) -> Iterator[tuple[str, Part]]:
    yield "training", task.train
    if task.validation is not None:
        yield "validation", task.validation
    yield "test", task.test


def _finite(x: Tensor) -> bool:
    return not x.is_floating_point() or bool(x.isfinite().all())


def _check_labels(y: Tensor, outputs: int, where: str) -> None:
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < outputs:
        raise DataError(
            f"labels must count the task's classes, from 0 to {outputs - 1}",
            got=f"{int(y.min())} to {int(y.max())} in {where}",
            cure="number the classes of each task from 0",
        )
