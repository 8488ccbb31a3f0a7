import numpy as np
import pytest
from matplotlib.colors import to_rgb

from hypermnesia.report.canvas import (
    COLOURS,
    line_style,
    mean_and_error,
    new_axes,
    seed_count,
)


def luminance(colour):
    """Relative luminance of WCAG 2."""
    channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot((0.2126, 0.7152, 0.0722), channels))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("page", ["#ffffff", "#15181d"])
def test_colours_stand_out_on_light_and_dark(colour, page):
    low, high = sorted((luminance(colour), luminance(page)))
    assert (high + 0.05) / (low + 0.05) >= 3.5


def test_lines_are_told_apart_by_colour_and_marker():
    styles = [line_style(index, 5) for index in range(len(COLOURS))]
    assert all(style["markevery"] == [0, 1, 2, 3, 4] for style in styles)
    assert line_style(3, 120)["markevery"] == [*range(3, 120, 10), 119]
    assert len({style["color"] for style in styles}) == len(styles)
    assert len({style["marker"] for style in styles}) == len(styles)


def test_means_and_standard_errors_mean_and_error():
    means, errors = mean_and_error(np.array([[1.0, 2.0], [3.0, 2.0]]))
    assert means.tolist() == [2.0, 2.0]
    assert errors.tolist() == pytest.approx([1.0, 0.0])
    assert mean_and_error(np.array([[1.0]]))[1].tolist() == [0.0]


def test_figures_are_as_wide_as_a_phone_shows_them():
    assert new_axes(2.0)[0].get_size_inches().tolist() == [4.4, 2.0]
    assert [seed_count(n) for n in (1, 2)] == ["1 seed", "2 seeds"]
