"""The closed form is the direct sum: values, gradients, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from regularizer_cases import Case, assert_close, cases, closed, direct, doubled, judge
from torch.utils._python_dispatch import TorchDispatchMode

from hypermnesia.regularization import output as closed_form
from hypermnesia.regularization.output import ClosedFormRegularizer, DirectRegularizer

blocks = st.sampled_from([1, 4, 1000])
"""Rows of the head at a time."""


@settings(max_examples=150)
@given(cases, blocks)
def test_equals_the_direct_sum_in_float64(case: Case, block: int) -> None:
    world = case.world(torch.float64)
    with patch.object(closed_form, "block_rows", return_value=block):
        assert_close(closed(world), direct(world), 1e-10)


@settings(max_examples=150)
@given(cases, blocks)
def test_float32_is_exact_however_small_the_step(case: Case, block: int) -> None:
    """Against the direct sum of the same numbers in float64."""
    world = case.world(torch.float32)
    with patch.object(closed_form, "block_rows", return_value=block):
        assert_close(closed(world), direct(doubled(world)), 1e-5)


WIDE = Case((20, 25), "elu", "even", 700, 8, 8, (3000, 1000), (10,) * 6, 1e-4, 0)


@pytest.mark.parametrize("distance", [1.0, 1e-2, 1e-4, 1e-6])
def test_float32_is_exact_at_usual_sizes(distance: float) -> None:
    """A step of Adam is 1e-4 or 1e-3; the direct sum itself would be off by 1e-5 to 1e-4."""
    world = replace(WIDE, distance=distance).world(torch.float32)
    assert_close(closed(world), direct(doubled(world)), 1e-5)


@settings(max_examples=15)
@given(cases)
def test_nothing_has_moved_at_the_snapshot(case: Case) -> None:
    hypernet, snapshot, _ = case.world(torch.float32)
    value, pull = judge(ClosedFormRegularizer(hypernet, snapshot), snapshot.parameters)
    assert value == 0
    assert all(not gradient.any() for gradient in pull.values())


@settings(max_examples=15)
@given(cases)
def test_calls_leave_no_trace(case: Case) -> None:
    """Neither in the point, nor in the hypernetwork, nor in the next call."""
    hypernet, snapshot, point = case.world(torch.float64)
    regularizer = ClosedFormRegularizer(hypernet, snapshot)
    first = judge(regularizer, point)
    kept = {name: value.clone() for name, value in point.items()}
    own = {name: value.clone() for name, value in hypernet.named_parameters()}
    judge(regularizer, {name: value + 1 for name, value in point.items()})
    again = judge(regularizer, point)
    assert torch.equal(first[0], again[0])
    assert all(torch.equal(first[1][name], again[1][name]) for name in point)
    assert all(torch.equal(kept[name], point[name]) for name in point)
    assert all(
        torch.equal(own[name], p) and p.grad is None for name, p in hypernet.named_parameters()
    )


def test_rows_that_no_earlier_task_uses_are_free() -> None:
    """A hypernetwork that has grown wider for the task being learned."""
    case = Case((5,), "relu", "layer", 40, 3, 3, (4,), (2, 3, 9), 0.1, 0)
    _, pull = closed(case.world(torch.float64))
    assert pull["head.weight"][:9].any(dim=1).all()
    assert not pull["head.weight"][9:].any()
    assert not pull["head.bias"][9:].any()


class Work(TorchDispatchMode):
    """Counts operations and notes the largest tensor that one returns."""

    operations = largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.operations += 1
        if isinstance(result, torch.Tensor):
            self.largest = max(self.largest, result.numel())
        return result


def test_work_does_not_grow_with_tasks() -> None:
    """As many operations at 60 earlier tasks as at 2, and no tensor as large as the weights."""
    done = []
    for tasks in (2, 60):
        world = replace(WIDE, hidden=(6,), outputs=(10,) * (tasks + 1)).world(torch.float32)
        regularizer = ClosedFormRegularizer(*world[:2])
        with Work() as work:
            judge(regularizer, world[2])
        done.append(work)
    few, many = done
    assert few.operations == many.operations
    # The largest is the block of X: here all rows of the head. 60 tasks have 240,000 weights.
    assert many.largest <= 700 * 13


@settings(max_examples=15)
@given(cases, st.floats(0.001, 10))
def test_the_pull_is_added_to_the_gradients_times_beta(case: Case, beta: float) -> None:
    hypernet, snapshot, point = case.world(torch.float64)
    for kind in (ClosedFormRegularizer, DirectRegularizer):
        regularizer = kind(hypernet, snapshot)
        value, pull = judge(regularizer, point)
        gradients = {name: torch.full_like(p, 3.0) for name, p in point.items()}
        assert torch.equal(regularizer(point, gradients, beta), value)
        for name in point:
            torch.testing.assert_close(gradients[name], 3.0 + beta * pull[name])


@pytest.mark.parametrize(
    ("width", "dtype", "rows"),
    [
        (15, torch.float32, 4228),  # 2^19 bytes of rows with 31 numbers of 4 bytes
        (15, torch.float64, 2114),
        (5000, torch.float32, 256),  # no fewer, however long they are
    ],
)
def test_a_block_of_rows_fills_half_a_cache(width: int, dtype: torch.dtype, rows: int) -> None:
    assert closed_form.block_rows(torch.empty(9, width, dtype=dtype)) == rows


def test_elsewhere_all_rows_are_one_block() -> None:
    assert closed_form.block_rows(torch.empty(9, 5, device="meta")) == 9
