import numpy as np

from hypermnesia.report.matrices import embedding_transfer

MATRIX = np.array([[99.0, 50.0, 40.0], [80.0, 98.0, 45.0], [70.0, 90.0, 97.0]])


def test_rows_are_embeddings_and_the_text_tells_earlier_from_later_tasks():
    drawn = embedding_transfer(MATRIX, (0, 4, 9), 50.0)
    (axes,) = drawn.figure.axes
    np.testing.assert_array_equal(axes.images[0].get_array(), MATRIX)
    assert axes.get_ylabel() == "embedding of task"
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["1", "5", "10"]
    for words in (
        "tasks 1, 5, 10",
        "98.00 % on its own task",
        "80.00 % on tasks that were learned before",
        "45.00 % on later ones; guessing gives 50.00 %",
    ):
        assert words in drawn.text


def test_values_can_be_read_on_their_colour():
    drawn = embedding_transfer(np.array([[100.0, 0.0], [44.0, 46.0]]), (0, 1), 50.0)
    colours = [text.get_color() for text in drawn.figure.axes[0].texts]
    assert colours == ["#000000", "#ffffff", "#ffffff", "#000000"]
