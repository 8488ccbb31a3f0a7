"""`hypermnesia check` as a user meets it."""

import pytest
from test_bad_input import expect_one_line

from hypermnesia.cli import main


@pytest.fixture
def runs(tmp_path):
    short = ["--set", "train.iterations=2", "--tasks", "2", "--method", "finetune,joint"]
    assert main(["run", "split-digits", "--out", str(tmp_path), *short]) == 0
    return tmp_path


def test_whole_runs_are_good_and_a_damaged_one_is_named(runs, capsys):
    one, two = (runs / f"split-digits_{method}_task" for method in ("finetune", "joint"))
    capsys.readouterr()
    assert main(["check", str(one), str(two)]) == 0
    assert main(["check", str(runs)]) == 0
    assert "damaged" not in capsys.readouterr().out
    (two / "seed-0/weights.safetensors").write_bytes(b"x")
    assert main(["check", str(runs)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"{one}: 11 good" in lines
    assert f"{two}: 10 good, 1 damaged" in lines
    (bad,) = [line for line in lines if line.startswith("  damaged")]
    assert "seed-0/weights.safetensors  (it has 1 bytes where" in bad


def test_what_is_no_run_is_told_in_one_line(tmp_path, capsys):
    expect_one_line(capsys, ["check", str(tmp_path / "none")], "run folders are wanted")


def test_a_name_cannot_forge_a_line(runs, capsys):
    run = runs / "split-digits_joint_task"
    (run / "x\n  good       weights.safetensors\x1b[2K").symlink_to("nowhere")
    capsys.readouterr()
    assert main(["check", str(run)]) == 1
    told = capsys.readouterr().out
    assert "\x1b" not in told
    assert "  damaged    x\N{REPLACEMENT CHARACTER}  good" in told
