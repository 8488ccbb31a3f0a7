"""`hapt-person`: a person of UCI HAPT a task, whose phone tells six activities apart.

Reyes-Ortiz et al. 2015, "Smartphone-based recognition of human activities and postural
transitions", UCI machine learning repository, CC BY 4.0: 30 people, acceleration and angular
velocity at 50 Hz. Unpack its archive yourself, and let HYPERMNESIA_DATA name the folder that holds
`hapt/RawData`:

    HYPERMNESIA_DATA=... python -m benchmarks.few_shot --benchmark benchmarks.hapt:hapt_person

Inputs are windows of 128 samples, which overlap by half: of each of the six signals the mean, and
the logarithms of 32 amplitudes of its Fourier transform. Of each stretch of an activity the first
two thirds are for training, and no window is in both parts. The seed draws the order of people.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hypermnesia.data.benchmarks import Benchmark, BenchmarkSettings
from hypermnesia.data.download import cache_folder, given_folder
from hypermnesia.data.types import Part, Task, hold_out
from hypermnesia.errors import DataError
from hypermnesia.seeding import Generators

_ACTIVITIES = 6  # walking, upstairs, downstairs, sitting, standing, lying
_WINDOW, _STEP, _AMPLITUDES = 128, 64, 32
_TRAINING = 2 / 3

Windows = tuple[list[NDArray[np.float32]], list[int]]
"""(6 (1 + amplitudes),) inputs, and an activity for each."""


def features(window: NDArray[np.float64]) -> NDArray[np.float32]:
    """Mean and log amplitudes of each of the signals of a (samples, signals) window, flat."""
    amplitudes = np.abs(np.fft.rfft(window - window.mean(axis=0), axis=0))[1 : _AMPLITUDES + 1]
    found = np.concatenate([window.mean(axis=0)[None], np.log1p(amplitudes)])
    return found.T.ravel().astype(np.float32)


def windows(signals: NDArray[np.float64], activity: int) -> Windows:
    """All windows of a stretch of signals."""
    starts = range(0, len(signals) - _WINDOW + 1, _STEP)
    every = [features(signals[start : start + _WINDOW]) for start in starts]
    return every, [activity] * len(every)


@cache
def people(folder: Path) -> dict[int, tuple[Windows, Windows]]:
    """Training and test windows of each person; raises `DataError` for files that are not there."""
    found: dict[int, tuple[Windows, Windows]] = {}
    try:
        stretches = np.loadtxt(folder / "labels.txt", dtype=np.int64, ndmin=2)
        for trial, person in np.unique(stretches[:, :2], axis=0).tolist():
            files = [f"{kind}_exp{trial:02}_user{person:02}.txt" for kind in ("acc", "gyro")]
            signals = np.hstack([np.loadtxt(folder / file) for file in files])
            for _, _, activity, first, last in stretches[stretches[:, 0] == trial].tolist():
                if activity > _ACTIVITIES:
                    continue
                own, end = signals[first - 1 : last], int(_TRAINING * (last - first + 1))
                parts = found.setdefault(person, (([], []), ([], [])))
                for part, stretch in zip(parts, (own[:end], own[end:]), strict=True):
                    for kept, new in zip(part, windows(stretch, activity - 1), strict=True):
                        kept += new  # type: ignore[arg-type]
    except OSError as error:
        hint = "download UCI HAPT, and let HYPERMNESIA_DATA name the folder that holds hapt/RawData"
        raise DataError("hapt-person reads files of UCI HAPT", got=str(error), hint=hint) from None
    return found


def person_tasks(settings: BenchmarkSettings, tasks: int, seed: int) -> tuple[Task, ...]:
    """Build the tasks of so many people, in an order that the seed draws."""
    folder = given_folder(settings.data_dir) or cache_folder()
    found = people(folder / "hapt" / "RawData")
    order = torch.randperm(len(found), generator=Generators(seed)["people"]).tolist()

    def task(index: int) -> Task:
        person = sorted(found)[order[index]]
        train, test = (
            Part(torch.from_numpy(np.stack(x)), torch.tensor(y), index) for x, y in found[person]
        )
        generator = Generators(seed)[f"validation/{index}"]
        rows, held = hold_out(torch.arange(len(train)), settings.validation, generator)
        kept = None if held is None else replace(train, y=train.y[held], rows=held)
        train = replace(train, y=train.y[rows], rows=rows)
        return Task(index, f"person {person}", _ACTIVITIES, train, kept, test)

    return tuple(task(index) for index in range(tasks))


hapt_person = Benchmark(
    "hapt-person",
    (6 * (1 + _AMPLITUDES),),
    (_ACTIVITIES,) * 30,
    person_tasks,
    "six activities of a person a task, by the phone at the waist (files of your own)",
    "Reyes-Ortiz et al. 2015, UCI HAPT",
    related=True,
)
