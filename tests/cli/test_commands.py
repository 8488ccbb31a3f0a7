"""The commands end to end, on the data set that needs no download."""

import json
import subprocess
import sys

import pytest

from hypermnesia.cli import main
from hypermnesia.training.observers import ObserverGroup

SHORT = ["--set", "train.iterations=5", "--tasks", "2"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_ends_in_tables_and_a_folder(tmp_path, capsys):
    command = ["run", "split-digits", "--method", "hnet,finetune", "--seeds", "0-1", *SHORT]
    assert main(command) == 0
    captured = capsys.readouterr()
    for text in ("ACC %", "BWT", "±", "hnet", "finetune", "runs/split-digits_hnet_task"):
        assert text in captured.out
    assert "seed 1" in captured.err
    summary = json.loads((tmp_path / "runs/split-digits_hnet_task/summary.json").read_text())
    figures = summary["scenarios"]["task"]
    assert figures["acc"]["n"] == 2
    assert set(figures["acc"]["values"]) == {"0", "1"}
    assert figures["task_inference"] == {
        "mean": None,
        "sem": None,
        "n": 0,
        "values": {"0": None, "1": None},
    }


def test_bf16_is_another_run_with_other_numbers(tmp_path, capsys):
    assert main(["run", "split-digits", *SHORT]) == 0
    again = ["run", "split-digits", "--precision", "bf16", *SHORT]
    assert main(again) == 2
    assert "compute.precision = bf16 here and float32 there" in capsys.readouterr().err
    assert main([*again, "--name", "low"]) == 0
    runs = [tmp_path / "runs" / name / "seed-0" for name in ("split-digits_hnet_task", "low")]
    losses = [(run / "metrics.jsonl").read_text() for run in runs]
    assert losses[0] != losses[1]


def test_a_screen_changes_no_figure(tmp_path):
    command = ["run", "split-digits", "--method", "hnet-ent", *SHORT, "--set", "target.hidden=[64]"]
    for name, screen in (("exact", "null"), ("fast", "bf16")):
        assert main([*command, "--name", name, "--set", f"inference.screen={screen}"]) == 0
    runs = [
        json.loads((tmp_path / f"runs/{n}/summary.json").read_text()) for n in ("exact", "fast")
    ]
    figures = [
        [run["scenarios"][scenario][name] for name in ("acc", "task_inference")]
        for run in runs
        for scenario in ("domain", "class")
    ]
    assert figures[:2] == figures[2:]


@pytest.mark.usefixtures("confident")
def test_one_training_is_shown_in_the_scenario_asked_for_or_in_all(capsys):
    command = ["run", "split-digits", "--method", "confident,finetune", *SHORT]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "task 2 learned, on all seen: task " in captured.err
    for text in ("confident in task: ", "confident in class: ", "finetune: ", "best, changed\n"):
        assert text in captured.out
    rows = [line.split()[:2] for line in captured.out.splitlines()]
    assert ["method", "scenario"] in rows
    assert [row for row in rows if row[:1] == ["confident"] and row[1] != "in"] == [
        ["confident", "task"],
        ["confident", "domain"],
        ["confident", "class"],
    ]
    assert main([*command, "--scenario", "CIL"]) == 0
    captured = capsys.readouterr()
    assert "confident seed" not in captured.err
    assert "split-digits, class scenario, recipe best" in captured.out
    assert "confident in task" not in captured.out


def test_a_finished_run_is_shown_again_without_training(tmp_path, capsys):
    command = ["run", "split-digits", "--method", "finetune", *SHORT]
    main(command)
    first = capsys.readouterr()
    assert main(command) == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert again.err == ""
    assert main(["resume", "runs/split-digits_finetune_task"]) == 0
    assert capsys.readouterr().out == first.out


def test_another_configuration_is_refused_or_replaces_when_told(capsys):
    command = ["run", "split-digits", "--method", "finetune", *SHORT]
    main(command)
    capsys.readouterr()
    other = [*command, "--set", "optimizer.lr=0.01"]
    assert main(other) == 2
    line = capsys.readouterr().err
    assert "optimizer.lr = 0.01 here and 0.001 there" in line
    assert "--overwrite" in line
    assert main([*other, "--overwrite"]) == 0
    assert main([*command, "--name", "other"]) == 0


def test_an_interrupted_run_says_how_to_go_on_and_ends_the_same(tmp_path, capsys, monkeypatch):
    command = ["run", "split-digits", *SHORT, "--set", "train.checkpoint_seconds=1e-9"]
    main([*command, "--name", "whole"])
    update, calls = ObserverGroup.on_update, []

    def interrupt(self, *arguments):
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt
        update(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ObserverGroup, "on_update", interrupt)
        capsys.readouterr()
        assert main([*command, "--name", "cut"]) == 130
    assert capsys.readouterr().err.endswith("go on with: hypermnesia resume runs/cut\n")
    assert main(["resume", "runs/cut"]) == 0
    for name in ("weights.safetensors", "accuracy_matrix_task.csv", "metrics.jsonl"):
        whole, cut = (tmp_path / "runs" / run / "seed-0" / name for run in ("whole", "cut"))
        assert whole.read_bytes() == cut.read_bytes()


def test_the_tables_say_what_was_measured_and_changed(tmp_path, capsys):
    command = ["run", "split-digits", "--method", "finetune", *SHORT]
    held_out = ["--set", "data.validation=60", "--set", "data.evaluate_on=validation"]
    assert main([*command, *held_out]) == 0
    shown = capsys.readouterr().out
    assert "finetune: validation accuracy %, mean of 1 seed" in shown
    assert "recipe best, changed, validation samples" in shown
    summary = json.loads((tmp_path / "runs/split-digits_finetune_task/summary.json").read_text())
    assert summary["evaluated_on"] == "validation"


def test_resume_takes_the_options_of_the_machine(capsys):
    command = ["run", "split-digits", "--method", "finetune", *SHORT, "--name", "a"]
    assert main(command) == 0
    assert main(["resume", "runs/a", "--threads", "1", "--device", "auto"]) == 0
    capsys.readouterr()
    assert main(["resume", "runs/a", "--device", "gpu"]) == 2
    assert "machine.device" in capsys.readouterr().err


def test_a_grid_ends_in_a_table_with_the_best_first_and_goes_on(tmp_path, capsys):
    grid = ["--grid", "optimizer.lr=1e-7,1e-2"]
    settings = ["--validation", "20", "--set", "train.iterations=60", "--set", "data.tasks=2"]
    command = ["tune", "split-digits", "--method", "finetune", *settings]
    assert main([*command, *grid]) == 0
    first = capsys.readouterr()
    lines = [line.split() for line in first.out.splitlines()]
    values = [words for words in lines if words and words[0] in ("1e-2", "1e-7")]
    assert [words[0] for words in values] == ["1e-2", "1e-7"]
    assert float(values[0][1]) > float(values[1][1])
    assert lines[-1] == ["best:", "--set", "optimizer.lr=1e-2"]
    assert main([*command, "--grid", "optimizer.lr=1e-2,1e-7"]) == 0
    again = capsys.readouterr()
    assert (again.out, again.err) == (first.out, "")
    runs = tmp_path / "runs" / "tune" / "split-digits_finetune_task"
    assert len(list(runs.glob("*/seed-100/result.json"))) == 2


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("benchmarks", "split-mnist"), ("methods", "separate"), ("recipes", "paper-100")],
)
def test_list(kind, expected, capsys):
    assert main(["list", kind]) == 0
    assert expected in capsys.readouterr().out


def test_version_and_help_are_fast(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hypermnesia")
    code = (
        "import sys; from hypermnesia.cli import main; main(['run', '--help']); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0
    assert "For example:" in done.stdout


def test_no_arguments_show_the_help(capsys):
    assert main([]) == 2
    captured = capsys.readouterr()
    assert "Usage" in captured.out
    assert captured.err == ""
