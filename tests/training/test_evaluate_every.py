"""Evaluation after every so many tasks: the same run, with gaps that every reader knows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_run import CrashError, Run, make_tasks

from hypermnesia import metrics
from hypermnesia.cli import main
from hypermnesia.errors import ConfigError
from hypermnesia.report import figures, matrices
from hypermnesia.training import TrainSettings
from hypermnesia.training.observers import LineProgress


def five(folder: Path, **settings: object) -> Run:
    return Run(folder, iterations=6, tasks=make_tasks(5), scenario="class", **settings)


def test_rows_left_out_know_the_newest_task_alone(tmp_path: Path, capsys) -> None:
    every = five(tmp_path / "every")
    whole = every.go()
    some = five(tmp_path / "some", evaluate_every=2)
    found = some.go(observer=LineProgress("five"))
    known = np.eye(5, dtype=bool) | (np.tri(5, dtype=bool) & np.isin(range(5), [1, 3, 4])[:, None])
    for kind in ("accuracy", "inference"):
        expected = np.where(known, getattr(whole, kind)["class"], np.nan)
        np.testing.assert_array_equal(getattr(found, kind)["class"], expected)
    np.testing.assert_array_equal(found.confusion["class"], whole.confusion["class"])
    assert some.method.weight.equal(every.method.weight)
    for metric in (metrics.acc, metrics.during, metrics.bwt):
        assert metric(found.accuracy["class"]) == metric(whole.accuracy["class"])
    assert np.isfinite(metrics.forgetting(found.accuracy["class"]))
    lines = [line for line in capsys.readouterr().err.splitlines() if "learned" in line]
    assert ["itself" in line for line in lines] == [True, False, True, False, False]
    logged = [json.loads(line) for line in some.log().splitlines()]
    rows = [line["accuracy"] for line in logged if line["kind"] == "evaluation"]
    assert [[value is not None for value in row] for row in rows] == [
        row[: i + 1] for i, row in enumerate(known.tolist())
    ]


@pytest.mark.parametrize("crash_at", [7, 14, 25])
def test_a_resumed_run_has_the_same_gaps(tmp_path: Path, crash_at: int) -> None:
    expected = five(tmp_path / "whole", evaluate_every=3)
    matrices = expected.go()
    run = five(tmp_path / "crashed", evaluate_every=3, checkpoint_seconds=0)
    with pytest.raises(CrashError):
        run.go(crash_at)
    again = five(tmp_path / "crashed", evaluate_every=3)
    found = again.go()
    for kind in ("accuracy", "inference", "confusion"):
        np.testing.assert_array_equal(
            getattr(found, kind)["class"], getattr(matrices, kind)["class"]
        )
    assert again.log() == expected.log()
    assert len(found.memory_mb) == 5


def test_figures_draw_what_is_known() -> None:
    matrix = np.full((20, 20), np.nan)
    np.fill_diagonal(matrix, 90.0)
    for row in (9, 19):
        matrix[row, : row + 1] = 80.0
    drawn = matrices.accuracy_matrix("task", matrix, 1)
    axes = drawn.figure.axes[0]
    assert axes.images[0].get_array().shape == (3, 20)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["1", "10", "20"]
    over_time = matrices.accuracy_over_time("task", matrix, 1)
    assert "nan" not in drawn.text + over_time.text
    lines = {line.get_label(): line for line in over_time.figure.axes[0].lines}
    assert lines["task 1"].get_xdata().tolist() == [1, 10, 20]
    assert lines["mean of all seen"].get_xdata().tolist() == [1, 10, 20]
    assert len(lines["each when learned"].get_xdata()) == 20


def test_memory_is_drawn_for_many_tasks() -> None:
    assert figures.memory({"hnet": [[1.0] * 12]}) is None
    assert figures.memory({"old": [[]], "none": []}) is None
    drawn = figures.memory({"hnet": [[500.0, *[510.0] * 19]], "old": [[]]})
    assert drawn is not None
    assert "hnet 500 on task 1, 510 on task 20" in drawn.text


def test_a_run_with_gaps_is_reported_and_checked(tmp_path: Path, capsys) -> None:
    few = ["--tasks", "3", "--set", "train.iterations=2", "--set", "train.evaluate_every=2"]
    run = ["run", "split-digits", "--recipe", "quick", "--out", str(tmp_path), *few]
    assert main([*run, "--tensorboard"]) == 0
    folder = tmp_path / "split-digits_hnet_task"
    assert main(["check", str(folder)]) == 0
    capsys.readouterr()
    page = tmp_path / "page.html"
    assert main(["report", str(folder), "--out", str(page)]) == 0
    assert "nan" not in capsys.readouterr().out
    assert ">nan<" not in page.read_text()
    rows = (folder / "accuracy_matrix_task.csv").read_text().splitlines()
    assert [row.count(",,") for row in rows[1:]] == [1, 0, 0]


def test_less_than_every_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="evaluate_every must be 1 or more"):
        TrainSettings(batch_size=4, iterations=5, evaluate_every=0)
