"""The picture of drift of a learner of tables."""

from __future__ import annotations

import pytest

from hypermnesia.learner.quality import Quality
from hypermnesia.report.own_data import drift_figure


def quality(*drift: float | None) -> Quality:
    return Quality(measure="accuracy", drift=drift)


def test_a_bar_for_each_task_but_the_last() -> None:
    drawn = drift_figure(["first", "second", "third", "last"], quality(0.25, None, 0.5, 0.0))
    (axes,) = drawn.figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.25, 0.5]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "third"]
    assert drawn.text.endswith("learned: first 0.250; third 0.500.")


def test_of_many_tasks_some_have_a_bar() -> None:
    names = [f"task {number}" for number in range(101)]
    drawn = drift_figure(names, quality(*[0.1] * 101))
    assert len(drawn.figure.axes[0].patches) == 30


@pytest.mark.parametrize("drift", [(), (0.0,), (None, 0.0)])
def test_nothing_is_drawn_where_nothing_was_measured(drift) -> None:
    assert drift_figure(["one", "two"][: len(drift)], quality(*drift)) is None
