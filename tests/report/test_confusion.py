import numpy as np
import pytest

from hypermnesia.report.matrices import task_confusion

COUNTS = np.array([[30, 10, 0], [0, 20, 0], [1, 2, 7]])


def test_cells_are_shares_of_the_samples_of_a_task():
    drawn = task_confusion(COUNTS, ["domain", "class"])
    (axes,) = drawn.figure.axes
    (image,) = axes.images
    expected = [[75, 25, 0], [0, 100, 0], [10, 20, 70]]
    np.testing.assert_allclose(image.get_array(), expected)
    np.testing.assert_allclose(image.get_array().sum(axis=1), 100)
    texts = [text.get_text() for text in axes.texts]
    assert texts == [f"{value:.1f}" for row in expected for value in row]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("answered with task", "own task")


def test_the_text_has_the_main_values():
    drawn = task_confusion(COUNTS, ["domain", "class"])
    assert drawn.name == "task-confusion-domain-class"
    for words in (
        "70 test samples, domain and class scenarios",
        "own task: 81.67 % (mean of the tasks), least in task 3, 70.00 %",
        "most frequent mistake: task 1 for 2, 25.00 %",
    ):
        assert words in drawn.text


def test_without_a_mistake_there_is_none_to_name():
    drawn = task_confusion(np.diag([3, 4]), ["class"], "validation")
    assert "mistake" not in drawn.text
    assert "7 validation samples, class scenario" in drawn.text


@pytest.mark.parametrize(("tasks", "bars"), [(12, 0), (13, 1), (100, 1)])
def test_many_tasks_have_a_bar_in_place_of_values(tasks, bars):
    drawn = task_confusion(np.eye(tasks, dtype=np.int64), ["class"])
    axes = drawn.figure.axes[0]
    assert len(drawn.figure.axes) == 1 + bars
    assert len(axes.texts) == (0 if bars else tasks**2)
    assert len(axes.get_xticks()) <= 12
    drawn.figure.draw_without_rendering()
