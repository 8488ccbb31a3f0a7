"""Tables and figures of regression say mean squared errors, and nothing of percent."""

import re

import numpy as np
import pytest

from hypermnesia.cli import main
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.report.figures import forgetting
from hypermnesia.report.matrices import accuracy_matrix, accuracy_over_time, embedding_transfer
from hypermnesia.report.tables import legend

ERRORS = np.array([[0.2, np.nan], [0.7, 0.1]])
SHORT = ["--set", "train.iterations=50"]
PERCENT = re.compile(r"%|\bACC\b|[Aa]ccuracy|[Pp]ercent")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """The folder of two runs on the benchmark of curves."""
    folder = tmp_path_factory.mktemp("runs")
    command = ["run", "curves", "--method", "hnet,finetune", *SHORT, "--out", str(folder)]
    assert main(command) == 0
    return folder


def test_the_tables_of_a_run_are_of_errors(out, capsys):
    assert main(["run", "curves", "--method", "hnet,finetune", *SHORT, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert not PERCENT.search(shown)
    assert "hnet: mean squared error, mean of 1 seed" in shown
    assert "MSE = mean_j R[T, j]" in shown
    value = finished_seed(out / "curves_hnet_task").result.accuracy["task"][1, 1]
    assert f" {value:.4f} " in shown


def test_a_page_is_of_errors(out, tmp_path):
    page = tmp_path / "report.html"
    runs = [str(out / f"curves_{method}_task") for method in ("hnet", "finetune")]
    assert main(["report", *runs, "--out", str(page)]) == 0
    text = re.sub(
        r'<style>.*?</style>|srcset="[^"]*"|src="[^"]*"', "", page.read_text(), flags=re.S
    )
    text = re.sub(r"hold [\d.]+ % and [\d.]+ % of the variance", "", text)
    assert not PERCENT.search(text)
    for words in (
        "Mean squared error matrix, task scenario",
        "Mean squared error on all tasks after the last one",
        "How far the mean squared error on each task but the last one rose",
        "Mean squared error of each task&#39;s embedding (rows)",
        "mean_(j&lt;T) (R[T, j] - min_i R[i, j])",
    ):
        assert words in text


def test_a_comparison_is_of_errors(out, tmp_path, capsys):
    command = ["compare", "curves", "--method", "hnet,finetune", "--scenario", "task"]
    here = ["--recipe", "paper", "--no-train", "--out", str(tmp_path)]
    for method in ("hnet", "finetune"):
        name = f"curves_{method}_task"
        (tmp_path / name).symlink_to(out / name)
    assert main([*command, *here]) == 0
    assert "other settings" in capsys.readouterr().out
    assert main([*command, *here, *SHORT]) == 0
    shown = capsys.readouterr().out
    assert not PERCENT.search(shown)
    assert "Mean squared error on all tasks after the last one" in shown
    assert re.search(r"\d\.\d{4} \(1\)", shown)


def test_the_best_trial_has_the_least_error(tmp_path, capsys):
    grid = ["--grid", "optimizer.lr=1e-9,1e-2", "--validation", "10"]
    assert main(["tune", "curves", *grid, *SHORT, "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "best: --set optimizer.lr=1e-2" in shown
    assert not PERCENT.search(shown)
    assert "validation MSE" in shown


def test_colours_and_heights_of_errors_go_from_0_to_the_greatest():
    drawn = accuracy_matrix("task", ERRORS, 1, "mse")
    assert drawn.name == "mean-squared-error-matrix-task"
    assert drawn.figure.axes[0].images[0].get_clim() == (0, 0.7)
    assert "0.4000 on average: from 0.1000 on task 2 to 0.7000 on task 1" in drawn.text
    drawn = accuracy_over_time("task", ERRORS, 1, "mse")
    low, high = drawn.figure.axes[0].get_ylim()
    assert low == 0
    assert 0.7 < high < 1
    assert drawn.figure.axes[0].get_ylabel() == "mean squared error"


def test_what_is_forgotten_is_the_rise_above_the_least_error():
    drawn = forgetting("task", {"a": [ERRORS]}, "mse")
    assert "a 0.5000, at most 0.5000 (task 1)" in drawn.text
    assert drawn.figure.axes[0].get_ylabel() == "rise of the error"


def test_errors_of_embeddings_are_compared_with_no_guess():
    drawn = embedding_transfer(np.array([[0.1, 5.0], [2.0, 0.3]]), (0, 1), None)
    assert not PERCENT.search(drawn.text)
    assert "0.2000 on its own task" in drawn.text
    assert "guessing" not in drawn.text
    assert [text.get_text() for text in drawn.figure.axes[0].texts] == [
        "0.10",
        "5.00",
        "2.00",
        "0.30",
    ]


def test_a_page_about_both_explains_both():
    meanings = legend(["accuracy", "mse", "accuracy"])
    assert meanings["R[i, j]"].startswith("accuracy on task j")
    assert "or mean squared error on task j" in meanings["R[i, j]"]
    assert {"ACC", "MSE", "BWT", "rise", "MB"} <= meanings.keys()
