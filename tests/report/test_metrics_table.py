import pytest
from report_runs import made

from hypermnesia.experiments.results import RunSummary
from hypermnesia.report.tables import cell, metrics_table

NONE = {"mean": None, "sem": None, "n": 0}
TRAINING = {"compression": NONE, "seconds": {"mean": 9.0, "sem": 0.25, "n": 2}}
TRAINING["peak_memory_mb"] = NONE


def summary(tmp_path, *scenarios):
    """Accuracies of two seeds, and of nothing else a figure."""
    names = ("acc", "during", "bwt", "fwt", "forgetting", "task_inference")
    figures = dict.fromkeys(names, NONE) | {"acc": {"mean": 90.0, "sem": 0.0, "n": 2}}
    in_scenarios = dict.fromkeys(scenarios, figures)
    folder = made(tmp_path / "run", finished=())
    return RunSummary(folder.read_config(), folder, TRAINING, in_scenarios, {})


def test_columns_that_would_be_empty_are_left_out(tmp_path):
    table = metrics_table("title", [("a", summary(tmp_path, "task"), "task")])
    assert table.title == "title"
    assert table.headings == ["method", "ACC %", "seconds", "n"]
    assert table.rows == [["a", "90.00", "9.0±0.2", "2"]]


def test_several_scenarios_are_named(tmp_path):
    both = summary(tmp_path, "task", "class")
    table = metrics_table("title", [("a", both, "task"), ("a", both, "class")])
    assert table.headings[:2] == ["method", "scenario"]
    assert [row[:2] for row in table.rows] == [["a", "task"], ["a", "class"]]


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ({"mean": 1.234, "sem": 0.5}, "1.23±0.50"),
        ({"mean": 1.234, "sem": None}, "1.23"),
        ({"mean": None, "sem": None}, "-"),
    ],
)
def test_a_cell_says_mean_and_standard_error(figure, expected):
    assert cell(figure, 2) == expected
