from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypermnesia import metrics

NAN = float("nan")
R = np.array(
    [
        [90.0, NAN, NAN],
        [95.0, 80.0, NAN],
        [70.0, 85.0, 60.0],
    ]
)
JOINT = np.array([[NAN, NAN], [90.0, 80.0]])


def test_hand_computed() -> None:
    assert metrics.acc(R) == pytest.approx((70 + 85 + 60) / 3)
    assert metrics.during(R) == pytest.approx((90 + 80 + 60) / 3)
    assert metrics.bwt(R) == pytest.approx(((70 - 90) + (85 - 80)) / 2)
    assert metrics.forgetting(R) == pytest.approx(((95 - 70) + (85 - 85)) / 2)
    assert metrics.forgetting_by_task(R).tolist() == [95 - 70, 85 - 85]
    assert metrics.task_inference(R) == metrics.acc(R)


def test_forward_transfer_leaves_the_first_task_out() -> None:
    assert metrics.fwt([NAN, 40.0, -10.0]) == 15.0
    assert np.isnan([metrics.fwt([NAN, 40.0, NAN]), metrics.fwt([NAN]), metrics.fwt(())]).all()


def test_a_joint_run_has_only_an_end() -> None:
    assert metrics.acc(JOINT) == 85.0
    assert np.isnan([metrics.during(JOINT), metrics.bwt(JOINT), metrics.forgetting(JOINT)]).all()


def test_a_single_task_forgets_nothing() -> None:
    one = np.array([[90.0]])
    assert metrics.acc(one) == metrics.during(one) == 90.0
    assert np.isnan([metrics.bwt(one), metrics.forgetting(one)]).all()


def test_nothing_measured_is_not_a_number() -> None:
    nothing = np.full((2, 2), NAN)
    figures = [metrics.acc, metrics.during, metrics.bwt, metrics.forgetting]
    assert np.isnan([figure(nothing) for figure in figures]).all()


@pytest.mark.parametrize("shape", [(2, 3), (4,), (0, 0)])
def test_only_a_square_matrix_is_taken(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"R must be \(T, T\)"):
        metrics.acc(np.zeros(shape))


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_forgetting_bounds_minus_bwt(tasks: int, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(0, 100, (tasks, tasks))
    matrix = np.where(np.tril(np.ones((tasks, tasks))) > 0, values, NAN)
    assert metrics.forgetting(matrix) >= max(0.0, -metrics.bwt(matrix)) - 1e-9


def test_over_seeds() -> None:
    summary = metrics.over_seeds([1.0, 2.0, 3.0, 6.0])
    assert (summary.mean, summary.n) == (3.0, 4)
    assert summary.sem == pytest.approx(np.sqrt((4 + 1 + 0 + 9) / 3) / 2)


def test_seeds_without_the_figure_are_left_out() -> None:
    assert metrics.over_seeds([NAN, 2.0, 4.0]) == metrics.Summary(3.0, 1.0, 2)
    one, none = metrics.over_seeds([5.0]), metrics.over_seeds([NAN])
    assert (one.mean, one.n, np.isnan(one.sem)) == (5.0, 1, True)
    assert (none.n, np.isnan(none.mean), np.isnan(none.sem)) == (0, True, True)


def test_means_are_taken_in_double_precision() -> None:
    halves = np.asarray([1.0, 1.0, 2.0], dtype=np.float16)
    assert metrics.over_seeds(list(halves)).mean == 4 / 3
    assert metrics.acc(np.broadcast_to(halves, (3, 3))) == 4 / 3


def test_a_summary_as_text() -> None:
    assert metrics.Summary(97.126, 0.456, 3).text() == "97.13 ± 0.46"
    assert metrics.Summary(97.126, 0.456, 3).text(digits=1) == "97.1 ± 0.5"
    assert metrics.Summary(97.126, NAN, 1).text() == "97.13"


@pytest.mark.parametrize("shape", [(2, 3), (4,)])
def test_what_is_no_matrix_of_accuracies_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        metrics.bwt(np.zeros(shape))
    assert str(caught.value) == f"R must be (T, T) with T of 1 or more; got {shape}"
