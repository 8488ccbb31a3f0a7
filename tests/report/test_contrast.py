"""Whether type can be read, by the contrast of WCAG 2.2 (section 1.4.3)."""

import io

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from hypermnesia.report.canvas import COLOUR_MAP, INK, NARROW, PAPER, new_axes, png, text_colour


def luminance(colour):
    levels = np.array(to_rgb(colour))
    linear = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    dark, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("percent", range(0, 101, 2))
def test_type_stands_out_on_every_shade(percent):
    shade = colormaps[COLOUR_MAP](percent / 100)[:3]
    chosen = text_colour(percent / 100)
    assert contrast(shade, chosen) >= 4.0
    assert contrast(shade, chosen) >= 0.9 * max(contrast(shade, c) for c in (INK, PAPER))


def test_a_narrow_figure_is_white_and_as_wide_as_a_phone():
    figure, axes = new_axes(1.0, NARROW)
    axes.set_axis_off()
    image = imread(io.BytesIO(png(figure)))
    assert image.shape[:2] == (200, 740)
    np.testing.assert_array_equal(image, 1.0)
