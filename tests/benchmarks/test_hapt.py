"""The benchmark of people reads UCI's files, of made-up signals here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.few_shot import drawn
from benchmarks.hapt import hapt_person, people

from hypermnesia.data.benchmarks import BenchmarkSettings
from hypermnesia.errors import DataError

ACTIVITIES, SAMPLES = 7, 500  # one more than is used


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three people's trials, whose signals are constant within an activity."""
    raw = tmp_path / "hapt" / "RawData"
    raw.mkdir(parents=True)
    lines = []
    for trial, person in enumerate((4, 9, 9), start=1):
        for kind in ("acc", "gyro"):
            values = np.repeat(np.arange(1, ACTIVITIES + 1) + 10 * trial, SAMPLES)
            path = raw / f"{kind}_exp{trial:02}_user{person:02}.txt"
            np.savetxt(path, np.tile(values[:, None], (1, 3)))
        for activity in range(1, ACTIVITIES + 1):
            first, last = 1 + (activity - 1) * SAMPLES, activity * SAMPLES
            lines.append((trial, person, activity, first, last))
    np.savetxt(raw / "labels.txt", lines, fmt="%d")
    people.cache_clear()
    return tmp_path


def test_windows_stay_within_an_activity_and_a_part(folder: Path) -> None:
    tasks = hapt_person.build(BenchmarkSettings(validation=3, data_dir=folder), 2, 0)
    assert sorted(task.name for task in tasks) == ["person 4", "person 9"]
    for task in tasks:
        trials = (1,) if task.name == "person 4" else (2, 3)
        # 333 samples hold four windows, 167 one.
        assert task.validation is not None
        assert len(task.train) + len(task.validation) == 6 * 4 * len(trials)
        assert (len(task.test), len(task.validation)) == (6 * len(trials), 3)
        batch = task.test.batch(torch.arange(len(task.test)))
        means = batch.x.view(len(batch), 6, -1)[..., 0]
        assert {int(m) for m in means[:, 0]} == {10 * t + a for t in trials for a in range(1, 7)}
        np.testing.assert_array_equal(means[:, 0] % 10 - 1, batch.y)
        assert batch.x.view(len(batch), 6, -1)[..., 1:].abs().max() < 1e-4
        assert sorted(drawn_labels(task)) == sorted([*range(6)] * 2)


def drawn_labels(task) -> list[int]:
    """Labels of two samples a class."""
    rows = drawn(task.train, 2, torch.Generator().manual_seed(0), each=True)
    assert len(rows.unique()) == len(rows)
    return task.train.y[rows].tolist()


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"hapt-person reads files of UCI HAPT; got .*labels\.txt"):
        hapt_person.build(BenchmarkSettings(data_dir=tmp_path), 2, 0)
