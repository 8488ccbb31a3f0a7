import csv
import io
import json
import math

import pytest

from hypermnesia.cli import main
from hypermnesia.errors import ConfigError, RunError
from hypermnesia.experiments.compare import Question, carry_out, filled, plan
from hypermnesia.experiments.launch import LAUNCHERS
from hypermnesia.experiments.run import resume
from hypermnesia.report.comparison import cell_text, method_tables, record, write_files
from hypermnesia.training.observers import Observer

SHORT = ("train.iterations=3", "data.tasks=2")


def question(methods=("finetune", "hnet"), scenarios=("task", "CIL"), seeds=(0, 1), **changes):
    asked = {"benchmarks": ("split-digits",), "assignments": SHORT} | changes
    return Question(scenarios=scenarios, methods=methods, seeds=seeds, **asked)


@pytest.fixture
def in_this_process(monkeypatch):
    """Trainings without processes; the jobs that were asked for."""
    asked = []

    def run_here(jobs, workers, say):
        asked.extend(jobs)
        for job in jobs:
            resume(job.folder, lambda config, seed: Observer(), seeds=(job.seed,))
        return {}

    monkeypatch.setitem(LAUNCHERS._entries, "local", run_here)
    return asked


def quiet(line):
    pass


def test_every_cell_is_planned_and_the_impossible_one_is_empty():
    cells = plan(question())
    assert [(cell.method, cell.scenario, cell.config is None) for cell in cells] == [
        ("finetune", "task", False),
        ("finetune", "class", False),
        ("hnet", "task", False),
        ("hnet", "class", True),
    ]
    assert [cell_text(cell) for cell in cells] == ["not finished (0 of 2)"] * 3 + ["-"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"benchmarks": ("split-digit",)}, "did you mean 'split-digits'"),
        ({"benchmarks": ("split-digits",) * 2}, "a benchmark can be named once"),
        ({"methods": ("hnt",)}, "did you mean 'hnet'"),
        ({"methods": ("hnet",), "scenarios": ("class", "domain")}, "hnet works in the scenarios"),
        ({"scenarios": ("task", "CL1")}, "a scenario can be named once"),
        ({"methods": ("hnet", "hnet")}, "a method can be named once"),
        ({"methods": ("joint",), "assignments": ("regularizer.beta=1",)}, "does nothing for joint"),
        ({"recipe": "papre"}, "recipe of split-digits"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes, expected):
    with pytest.raises(ConfigError, match=expected):
        plan(question(**changes))


def test_what_one_of_the_methods_reads_can_be_set():
    plan(question(assignments=(*SHORT, "regularizer.beta=5")))


def test_what_is_finished_is_not_trained_again(tmp_path, in_this_process):
    carry_out(plan(question(("finetune",), seeds=(0,))), tmp_path, 1, quiet)
    first = len(in_this_process)
    assert first == 2
    cells = plan(question(("finetune",)))
    partly = [cell_text(cell) for cell in filled(cells, tmp_path)]
    assert all(text.endswith("(1 of 2)") for text in partly)
    carry_out(cells, tmp_path, 1, quiet)
    assert [job.seed for job in in_this_process[first:]] == [1, 1]
    assert all(cell.over_seeds().n == 2 for cell in filled(cells, tmp_path))


def test_another_configuration_in_the_place_is_refused_even_if_it_is_finished(
    tmp_path, in_this_process
):
    carry_out(plan(question(("finetune",), ("task",), (0,))), tmp_path, 1, quiet)
    other = question(("finetune",), ("task",), (0,), assignments=(*SHORT, "optimizer.lr=0.5"))
    with pytest.raises(RunError, match=r"optimizer\.lr = 0\.5 here"):
        carry_out(plan(other), tmp_path, 1, quiet)
    cells = filled([*plan(question(("finetune",), ("task",), (0,))), *plan(other)], tmp_path)
    assert [cell_text(cell).endswith("(1)") for cell in cells] == [True, False]
    assert cell_text(cells[1]) == "other settings"
    assert record(cells[1])["mean"] is None
    (_, note) = method_tables(cells).notes
    assert "finetune, which has optimizer.lr = 0.5 here and 0.001 there" in note


def test_what_could_not_be_written_is_said_before_training(tmp_path, capsys):
    command = ["compare", "split-digits", "--method", "finetune", "--scenario", "task"]
    assert main([*command, "--no-train", "--out", str(tmp_path / "typo")]) == 2
    assert "typo, which is none; name it with --out" in capsys.readouterr().err
    (tmp_path / "comparison_split-digits.md").mkdir()
    assert main([*command, "--out", str(tmp_path)]) == 2
    assert "must not be a folder" in capsys.readouterr().err
    assert not (tmp_path / "split-digits_finetune_task").exists()


@pytest.mark.usefixtures("confident")
def test_one_training_fills_the_cells_of_every_scenario(tmp_path, in_this_process):
    asked = question(("confident",), ("task", "domain", "class"))
    carry_out(plan(asked), tmp_path, 1, quiet)
    assert [job.seed for job in in_this_process] == [0, 1]
    cells = filled(plan(asked), tmp_path)
    assert [cell.over_seeds().n for cell in cells] == [2, 2, 2]
    inferred = [cell.over_seeds("task_inference").mean for cell in cells]
    assert math.isnan(inferred[0])
    assert inferred[1] == inferred[2] > 0


def test_a_report_says_the_same_in_every_form(tmp_path, in_this_process):
    cells = plan(question(seeds=(0, 1, 2)))
    carry_out(plan(question()), tmp_path, 1, quiet)
    report = method_tables(filled(cells, tmp_path))
    files = write_files(report, tmp_path / "report", "mine")
    assert [file.name for file in files] == [
        *(f"mine.{end}" for end in ("md", "tex", "csv", "json", "png")),
        "mine-sizes.png",
    ]
    (table,) = report.tables
    assert table.headings == ["method", "task", "class", "numbers kept"]
    assert table.title == "split-digits, recipe best, changed"
    texts = {
        (row[0], head): text
        for row in table.rows
        for head, text in zip(table.headings, row, strict=True)
    }
    stored = json.loads(files[3].read_text())["cells"]
    records = list(csv.DictReader(io.StringIO(files[2].read_text())))
    for cell, line in zip(stored, records, strict=True):
        text = texts[cell["method"], cell["scenario"]]
        assert text in files[0].read_text()
        assert text.replace("±", r"$\pm$") in files[1].read_text()
        assert line["mean"] == ("" if cell["mean"] is None else repr(cell["mean"]))
        if cell["mean"] is not None:
            assert text == f"{cell['mean']:.2f} ± {cell['sem']:.2f} (2 of 3)"
            assert cell["mean"] == pytest.approx(sum(cell["values"].values()) / 2)
    assert texts["hnet", "class"] == "-"
    assert files[4].read_bytes().startswith(b"\x89PNG")


def test_the_command_trains_in_processes_and_a_failure_ends_it_with_1(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYPERMNESIA_DATA", raising=False)
    command = ["compare", "split-digits", "--method", "finetune", "--scenario", "class,domain"]
    short = ["--tasks", "2", "--set", "train.iterations=3", "--jobs", "2"]
    (tmp_path / "runs/split-digits_finetune_class").mkdir(parents=True)
    assert main([*command, *short, "--name", "a/b"]) == 2
    capsys.readouterr()
    assert main([*command, *short]) == 0
    captured = capsys.readouterr()
    assert "finetune" in captured.out
    assert captured.out.count("(1)") == 2
    assert "[2/2]" in captured.err
    assert (tmp_path / "runs/comparison_split-digits.tex").is_file()
    broken = tmp_path / "runs/split-digits_finetune_class/seed-0"
    (broken / "result.json").unlink()
    for file in broken.glob("checkpoints/*/state.json"):
        file.write_text("{")
    assert main([*command, *short]) == 1
    captured = capsys.readouterr()
    assert "(0 of 1)" in captured.out
    assert "failed: split-digits_finetune_class seed 0: error: a run goes on" in captured.err
    assert "[1/1]" in captured.err


def test_an_interrupted_comparison_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    def interrupted(jobs, workers, say):
        raise KeyboardInterrupt

    monkeypatch.setitem(LAUNCHERS._entries, "local", interrupted)
    arguments = ["compare", "split-digits", "--method", "finetune", "--out", str(tmp_path)]
    assert main(arguments) == 130
    assert "the same command goes on" in capsys.readouterr().err
