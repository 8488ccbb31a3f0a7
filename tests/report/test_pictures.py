import base64

import numpy as np
from matplotlib.colors import to_hex

from hypermnesia.metrics import Summary
from hypermnesia.report.canvas import DARK_INK, INK, PAPER, Drawn, new_axes, picture
from hypermnesia.report.figures import Bar, Panel, bar_figure
from hypermnesia.report.learned import embedding_plot
from hypermnesia.report.matrices import accuracy_matrix


def content(uri):
    kind, _, data = uri.partition(";base64,")
    return kind.removeprefix("data:image/"), base64.b64decode(data)


def svg(uri):
    kind, data = content(uri)
    assert kind == "svg+xml"
    return data.decode()


def test_black_on_the_page_is_light_on_a_dark_page():
    bars = bar_figure([Panel("", [Bar("task", "a", Summary(90.0, 5.0, 3))])])
    found = picture(Drawn("bars", "Bars", "-", bars), "x-bars")
    assert (found.anchor, found.title, found.text) == ("x-bars", "Bars", "-")
    light, dark = svg(found.light), svg(found.dark)
    assert DARK_INK not in light
    assert "#000000" in light  # axes and whiskers
    assert "#000000" not in dark
    # Letters without a colour would be black.
    letters = [line for line in dark.splitlines() if "<text" in line]
    assert letters
    assert all(DARK_INK in line for line in letters)


def test_numbers_on_cells_stay_as_they_stand_out_from_them():
    drawn = accuracy_matrix("task", np.array([[90.0, np.nan], [10.0, 80.0]]), 1)
    cells = drawn.figure.axes[0].texts
    before = [cell.get_color() for cell in cells]
    assert before == [INK, PAPER, INK]
    picture(drawn, "x")
    assert [cell.get_color() for cell in cells] == before
    assert to_hex(drawn.figure.axes[0].xaxis.label.get_color()) == DARK_INK


def test_colours_that_mean_something_stay():
    figure, axes = new_axes()
    axes.plot([0, 1], color="#2a7de1")
    axes.scatter([0, 1], [0, 1], c=[0.0, 1.0], cmap="gray")
    found = picture(Drawn("a", "A", "-", figure), "x")
    for page in (svg(found.light), svg(found.dark)):
        assert "#2a7de1" in page
        assert "#ffffff" in page


def test_what_has_too_many_parts_becomes_pixels():
    figure, axes = new_axes()
    axes.plot(np.random.default_rng(0).normal(size=20_000))
    found = picture(Drawn("a", "A", "-", figure), "x")
    for uri in (found.light, found.dark):
        kind, data = content(uri)
        assert kind == "png"
        assert data.startswith(b"\x89PNG")
    assert (found.width, found.height) == (422, 307)


def test_the_same_figure_is_the_same_picture():
    first, second = (picture(accuracy_matrix("task", np.eye(2), 1), "x") for _ in range(2))
    assert first == second


def test_names_in_points_stay_as_they_stand_out_from_them():
    drawn = embedding_plot(np.array([[0.0, 1.0], [2.0, 3.0], [5.0, 1.0]]), "networks", [1, 1, 1])
    names = drawn.figure.axes[0].texts
    before = [name.get_color() for name in names]
    assert before == [PAPER, PAPER, INK]
    picture(drawn, "x")
    assert [name.get_color() for name in names] == before
    assert to_hex(drawn.figure.axes[0].yaxis.label.get_color()) == DARK_INK
