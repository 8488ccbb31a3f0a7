import math

import pytest

from hypermnesia.metrics import Summary
from hypermnesia.report.canvas import png
from hypermnesia.report.figures import Bar, Panel, bar_figure

NONE = Summary(math.nan, math.nan, 0)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    from matplotlib.figure import Figure

    figures, save = [], Figure.savefig

    def note(self, *arguments, **settings):
        figures.append(self)
        save(self, *arguments, **settings)

    monkeypatch.setattr(Figure, "savefig", note)
    return figures


def test_bars_stand_in_their_group_and_marks_across_them(drawn):
    bars = [
        Bar("task", "a", Summary(90.0, 1.0, 3), mark=95.0),
        Bar("task", "b", Summary(80.0, math.nan, 1)),
        Bar("class", "a", NONE, mark=70.0),
        Bar("class", "b", Summary(60.0, 0.5, 2)),
    ]
    figure = bar_figure([Panel("one", bars), Panel("two", bars[:2])], "published")
    assert png(figure)[1:4] == b"PNG"
    one, two = drawn[0].axes
    assert [one.get_title(), two.get_title()] == ["one", "two"]
    assert [tick.get_text() for tick in one.get_xticklabels()] == ["task", "class"]
    heights = {round(bar.get_x(), 6): bar.get_height() for bar in one.patches}
    assert (heights[-0.4], heights[0.0]) == (90.0, 80.0)
    assert heights[1.0] == 60.0
    assert math.isnan(heights[0.6])
    marks = [line.tolist() for line in one.collections[-1].get_segments() if len(line)]
    assert [[-0.4, 95.0], [0.0, 95.0]] in marks
    assert [[0.6, 70.0], [1.0, 70.0]] in marks
    (legend,) = drawn[0].legends
    assert {text.get_text() for text in legend.get_texts()} == {"a", "b", "published"}


def test_nothing_finished_is_an_empty_figure(drawn):
    assert png(bar_figure([Panel("one", [Bar("task", "a", NONE)])]))[1:4] == b"PNG"
