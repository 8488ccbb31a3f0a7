"""Calibration, rejection and the spread of drawn networks, as figures."""

from __future__ import annotations

import numpy as np
import pytest

from figure_runs import SHORT, drawn_of
from hypermnesia import metrics
from hypermnesia.cli import main
from hypermnesia.report.certainty import rejection, spread_over_draws


def test_the_surest_answers_remain() -> None:
    sure = np.array([0.5, 0.9, 0.8, 0.6])
    drawn = rejection("class", sure, np.array([0.0, 1.0, 1.0, 0.0]))
    (line,) = drawn.figure.axes[0].lines
    np.testing.assert_allclose(line.get_xdata(), [25, 50, 75, 100])
    np.testing.assert_allclose(line.get_ydata(), [100, 100, 200 / 3, 50])
    assert "50.00 % of all, 100.00 % of the surest half" in drawn.text
    assert "probability 1.000 (AUROC)" in drawn.text


def test_a_rank_is_counted_by_pairs() -> None:
    generator = np.random.default_rng(0)
    ours, others = (generator.integers(0, 5, n).astype(float) for n in (30, 40))
    pairs = [(a > b) + (a == b) / 2 for a in ours for b in others]
    assert metrics.auroc(ours, others) == pytest.approx(np.mean(pairs))
    assert np.isnan(metrics.auroc(ours, np.array([])))


def test_points_are_drawn_networks_and_lines_their_mean_prediction() -> None:
    drawn = spread_over_draws(
        np.array([[90.0, 94.0], [80.0, 80.0]]), np.array([95.0, 82.0]), (0, 3)
    )
    lines = [line.get_ydata() for line in drawn.figure.axes[0].lines]
    np.testing.assert_allclose(lines, [[90, 80], [94, 80], [95, 82]])
    for words in ("86.00 % for one", "88.50 % for the mean", "differ by 1.00 points"):
        assert words in drawn.text


def test_a_run_of_drawn_networks_has_all_three(tmp_path, capsys) -> None:
    command = ["run", "split-digits", "--method", "hnet-bayes", "--scenario", "class"]
    assert main([*command, "--out", str(tmp_path), *SHORT]) == 0
    drawn = drawn_of(next(tmp_path.iterdir()))
    assert {"reliability-class", "rejection-class", "spread-over-draws"} <= drawn.keys()
    assert "10 networks" in drawn["spread-over-draws"].text
