"""Figures of tasks that were not learned: k-shot curves, and embeddings among the learned ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from figure_runs import SHORT
from hypermnesia.cli import main
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.report import few_shot
from hypermnesia.report.few_shot import curves, fallen


def test_curves_are_means_and_marks_are_lines() -> None:
    found = {"encoder": {1: [50.0, 60.0], 20: [80.0, 90.0]}, "nearest": {1: [40.0], 20: [41.0]}}
    drawn = curves(found, "accuracy", "2 seeds", {"all samples": 95.0})
    axes = drawn.figure.axes[0]
    encoder, nearest = (np.asarray(each.lines[0].get_ydata(), float) for each in axes.containers)
    mark = np.asarray(axes.lines[-1].get_ydata(), float)
    np.testing.assert_allclose(encoder, [55, 85])
    np.testing.assert_allclose(nearest, [40, 41])
    np.testing.assert_allclose(mark, [95, 95])
    for words in ("encoder: 55.00 (k = 1), 85.00 (k = 20)", "all samples: 95.00", "least loss"):
        assert words in drawn.text


@pytest.mark.parametrize("entries", [1, 3])
def test_a_new_embedding_is_joined_to_the_nearest(entries: int) -> None:
    known = np.eye(3)[:, :entries] * 10
    drawn = fallen(known, known[:1] + 1, ["one", "two", "three", "between"], 20)
    assert f"a (between) to task 1 (one), {np.sqrt(entries):.2f} away" in drawn.text
    (line,) = drawn.figure.axes[0].lines
    assert np.linalg.norm(np.diff(np.asarray(line.get_xydata()), axis=0)) <= np.sqrt(entries) + 1e-9


@pytest.mark.parametrize("method", ["hnet-data", "hnet"])
def test_a_run_of_related_tasks_has_both(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(few_shot, "SAMPLES", (1, 5))
    monkeypatch.setattr(few_shot, "_UNSEEN", 2)
    small = ["--set", "hypernet.hidden=[4]", "--set", "target.hidden=[4]"]
    command = ["run", "sine", "--method", method, "--out", str(tmp_path), *small]
    assert main([*command, *SHORT]) == 0
    shots, among = few_shot.few_shot(finished_seed(next(tmp_path.iterdir())))
    ways = ["encoder", "gradient", "both"] if method == "hnet-data" else ["gradient"]
    containers = shots.figure.axes[0].containers
    assert [each.get_label() for each in containers] == [*ways, "nearest"]
    assert all(len(each.lines[0].get_xdata()) == 2 for each in containers)
    assert "2 tasks that were not learned" in shots.text
    assert "of the 3 learned" in among.text
