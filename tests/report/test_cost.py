import pytest

from hypermnesia.report.figures import cost


def test_cost_is_by_task_in_milliseconds():
    drawn = cost({"hnet": [[0.002, 0.004], [0.004, 0.004]], "joint": [[0.005]]})
    hnet, *_, joint = drawn.figure.axes[0].lines
    assert hnet.get_xdata().tolist() == [1, 2]
    assert hnet.get_ydata().tolist() == pytest.approx([3.0, 4.0])
    assert list(joint.get_ydata()) == pytest.approx([5.0, 5.0])
    assert hnet.get_color() != joint.get_color()
    labels = {text.get_text() for text in drawn.figure.legends[0].get_texts()}
    assert labels == {"hnet", "joint, all at once"}
    assert "hnet 3 on task 1, 4 on task 2; joint 5 for all tasks at once" in drawn.text
    assert drawn.figure.axes[0].get_ylim()[0] == 0
