"""The figures that are about accuracy matrices."""

import math

import numpy as np
import pytest

from hypermnesia.metrics import Summary
from hypermnesia.report.figures import Bar, forgetting, side_by_side
from hypermnesia.report.matrices import accuracy_matrix, accuracy_over_time

NAN = math.nan
R = np.array([[90.0, NAN, NAN], [80.0, 95.0, NAN], [70.0, 94.0, 40.0]])
JOINT = np.array([[NAN, NAN], [NAN, NAN], [90.0, 80.0]])[1:]
LARGE = np.where(np.tri(50) > 0, 90.0, NAN)


def lines(figure):
    """By label the points of each line, those that are not there left out."""
    found = {}
    for line in figure.axes[0].lines:
        x, y = (np.asarray(data, dtype=float) for data in line.get_data())
        found[line.get_label()] = [
            (a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True) if not np.isnan(b)
        ]
    return found


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_heat_map_is_the_matrix_with_its_numbers():
    drawn = accuracy_matrix("class", R, 2)
    axes = drawn.figure.axes[0]
    np.testing.assert_equal(np.ma.filled(axes.images[0].get_array(), NAN), R)
    assert axes.images[0].get_clim() == (0, 100)
    cells = {(*text.get_position(), text.get_text()) for text in axes.texts}
    assert cells == {
        (1, 1, "90"),
        (1, 2, "80"),
        (2, 2, "95"),
        (1, 3, "70"),
        (2, 3, "94"),
        (3, 3, "40"),
    }
    assert drawn.name == "accuracy-matrix-class"
    assert drawn.title == "Accuracy matrix, class scenario"
    assert "mean of 2 seeds" in drawn.text
    assert "68.00 on average: from 40.00 on task 3 to 94.00 on task 2" in drawn.text


def test_a_large_heat_map_has_no_numbers():
    assert len(accuracy_matrix("task", LARGE, 1).figure.axes[0].texts) == 0


def test_each_task_has_its_line_from_where_it_was_learned():
    drawn = accuracy_over_time("task", R, 1)
    assert lines(drawn.figure) == {
        "task 1": [(1, 90), (2, 80), (3, 70)],
        "task 2": [(2, 95), (3, 94)],
        "task 3": [(3, 40)],
        "mean of all seen": [(1, 90), (2, 87.5), (3, 68)],
    }
    assert legend(drawn.figure) == ["task 1", "task 2", "task 3", "mean of all seen"]
    assert "task 1 90.00 when learned and 70.00 at the end" in drawn.text
    assert "goes from 90.00 to 68.00" in drawn.text


def test_of_many_tasks_a_few_have_a_line():
    drawn = accuracy_over_time("task", LARGE, 1)
    found = lines(drawn.figure)
    assert len(found) == 9
    assert {"task 1", "task 50"} <= set(found)
    assert "8 of the 50 tasks" in drawn.text


def test_what_was_measured_once_has_no_course():
    assert accuracy_over_time("task", JOINT, 1) is None


def test_forgetting_is_by_task_with_its_standard_error():
    drawn = forgetting("task", {"ewc": [R, R - 10], "joint": [], "hnet": [R + 2]})
    assert next(iter(lines(drawn.figure).values())) == [(1, 20), (2, 1)]
    assert legend(drawn.figure) == ["ewc", "hnet"]
    assert drawn.name == "forgetting-task"
    assert "ewc 10.50 ± 0.00, at most 20.00 (task 1)" in drawn.text
    assert "hnet 10.50, at most 20.00 (task 1)" in drawn.text


def test_a_run_keeps_its_colour_whoever_is_measured_beside_it():
    with_others = forgetting("task", {"ewc": [R], "hnet": [R]})
    without = forgetting("task", {"ewc": [], "hnet": [R]})
    colours = [
        figure.axes[0].lines[-1].get_color() for figure in (with_others.figure, without.figure)
    ]
    assert colours[0] == colours[1]


@pytest.mark.parametrize(
    "matrices", [{}, {"joint": [JOINT]}, {"one": [np.array([[90.0]])]}, {"none": []}]
)
def test_nothing_measured_is_no_figure(matrices):
    assert forgetting("task", matrices) is None


def test_seeds_with_different_gaps_are_no_mean():
    other = R.copy()
    other[0, 0] = other[1, 1] = NAN
    assert forgetting("task", {"a": [other], "b": [R]}) is not None
    assert forgetting("task", {"a": [other, R]}) is None


def test_methods_stand_side_by_side_and_are_told():
    bars = [
        Bar("task", "a", Summary(90.0, 1.5, 3)),
        Bar("task", "b", Summary(80.0, NAN, 1)),
        Bar("class", "a", Summary(NAN, NAN, 0)),
        Bar("class", "b", Summary(60.0, 0.5, 2)),
    ]
    drawn = side_by_side(bars)
    heights = [bar.get_height() for bar in drawn.figure.axes[0].patches]
    np.testing.assert_equal(heights, [90.0, NAN, 80.0, 60.0])
    assert legend(drawn.figure) == ["a", "b"]
    assert "a 90.00 ± 1.50 in task (3 seeds); b 80.00 in task (1 seed); b 60.00" in drawn.text
    assert "nan" not in drawn.text
