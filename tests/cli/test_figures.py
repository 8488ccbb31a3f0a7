"""`hypermnesia figures` on real runs, as a user types it."""

import shutil

from matplotlib.image import imread

from figure_runs import KINDS, cells, drawn_of
from hypermnesia.cli import main


def test_figures_are_written_beside_their_seed_and_told(runs, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(runs["hnet-tir"], run)
    assert main(["figures", str(run), "--seed", "1"]) == 0
    shown = capsys.readouterr().out
    files = list((run / "seed-1" / "figures").iterdir())
    assert {path.stem for path in files} == KINDS["hnet-tir"]
    for path in files:
        assert str(path) in shown
        image = imread(path)[:, :, :3]
        assert image.shape[1] == 740
        assert image.std() > 0.05
        assert image[:4].min() == 1
    for drawn in drawn_of(runs["hnet-tir"], 1).values():
        assert drawn.text in shown
    assert not (run / "seed-0" / "figures").exists()


def test_what_is_missing_is_told_in_a_line_each(runs, capsys, tmp_path):
    assert main(["figures", str(runs["finetune"]), "--out", str(tmp_path / "out")]) == 1
    lines = capsys.readouterr().out.splitlines()
    kinds = ["task confusion", "embedding transfer", "task embeddings", "calibration"]
    kinds.append("samples of the generative")
    assert len(lines) == len(kinds)
    for line, kind in zip(lines, kinds, strict=True):
        assert line.startswith(f"no {kind}")
        assert line.endswith("got finetune")
    assert not (tmp_path / "out").exists()


def test_a_long_sequence_shows_ten_of_its_tasks(tmp_path, capsys):
    few = ["--tasks", "12", "--set", "train.iterations=1", "--out", str(tmp_path)]
    assert main(["run", "perm-digits", "--method", "hnet-tir", *few]) == 0
    drawn = drawn_of(tmp_path / "perm-digits_hnet-tir_all")
    assert cells(drawn["task-confusion-domain-class"]).shape == (12, 12)
    assert cells(drawn["embedding-transfer"]).shape == (10, 10)
    assert "12 task embeddings" in drawn["embeddings-networks"].text
    assert "task 1, 2, 3, 5, 6, 7, 8, 10, 11, 12 (a row each)" in drawn["memory-samples"].text


def test_one_task_has_nothing_to_compare(tmp_path, capsys):
    few = ["--tasks", "1", "--set", "train.iterations=1", "--out", str(tmp_path)]
    assert main(["run", "split-digits", "--method", "hnet-lik", *few]) == 0
    capsys.readouterr()
    assert main(["figures", str(tmp_path / "split-digits_hnet-lik_all")]) == 0
    shown = capsys.readouterr().out
    assert "no task embeddings: embeddings are compared between tasks; got one task" in shown
    assert "memory-samples.png" in shown


def test_a_seed_or_a_folder_that_is_not_there_is_one_line(runs, tmp_path, capsys):
    for arguments, expected in (
        ([str(tmp_path)], "without one"),
        ([str(runs["dgr"]), "--seed", "7"], "got 7; finished"),
        ([str(runs["hnet-tir"]), "--seed", "7"], ": 0, 1; go on with: hypermnesia resume"),
        ([str(runs["dgr"]), "--out", "/proc/nowhere"], "figures must be writable"),
    ):
        capsys.readouterr()
        assert main(["figures", *arguments]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert expected in line


def test_data_that_are_not_there_cost_the_transfer_matrix_only(real_data, tmp_path, capsys):
    few = ["--tasks", "2", "--set", "train.iterations=1", "--data-dir", str(real_data)]
    small = ["--set", "vae.encoder=[8]", "--set", "vae.decoder=[8]", "--out", str(tmp_path)]
    assert main(["run", "split-mnist", "--method", "hnet-tir", *few, *small]) == 0
    run = str(tmp_path / "split-mnist_hnet-tir_all")
    capsys.readouterr()
    assert main(["figures", run, "--data-dir", "/nowhere"]) == 0
    shown = capsys.readouterr().out
    assert "no embedding transfer: " in shown
    assert "/nowhere" in shown
    assert "memory-samples.png" in shown
    assert main(["figures", run]) == 0
    assert "embedding-transfer.png" in capsys.readouterr().out
