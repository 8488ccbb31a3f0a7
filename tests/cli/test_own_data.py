"""Tables of one's own on the command line: learned, answered for, measured and reported."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_wine

from hypermnesia.cli import main
from hypermnesia.learner.folder import Record, TableLearner, read_record
from hypermnesia.learner.learner import ContinualLearner

# A third site that is like another one is told so.
pytestmark = pytest.mark.filterwarnings("ignore:task .* should be told from the others")

SHORT = ["--model", "mlp:20", "--set", "iterations=80", "--set", "lr=1e-2"]
FIT = ["fit", "data.csv", "--target", "kind", "--task", "site", "--out", "learner", *SHORT]


def write(path: str, header, rows) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def wine() -> tuple[list[str], list[list[object]]]:
    """Wine's rows, the first two columns, with a word for the kind and a site that shifts them."""
    data = load_wine()
    rows = [
        [("north", "south")[i % 2], *(x[:4] + 20 * (i % 2)), f"kind {y}"]
        for i, (x, y) in enumerate(zip(data.data, data.target, strict=True))
    ]
    return ["site", "alcohol", "acid", "ash", "base", "kind"], rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data.csv, new.csv and a learner of both sites, fitted on the command line."""
    path = tmp_path_factory.mktemp("own")
    before = Path.cwd()
    os.chdir(path)
    header, rows = wine()
    write("data.csv", header, [row for i, row in enumerate(rows) if i % 5])
    write("new.csv", header, [row for i, row in enumerate(rows) if not i % 5])
    assert main(FIT) == 0
    os.chdir(before)
    return path


@pytest.fixture
def here(folder, monkeypatch) -> Path:
    """The folder, as the one in which a command is given."""
    monkeypatch.chdir(folder)
    return folder


def error(arguments: list[str], capsys) -> str:
    """The one line that a mistaken command gives."""
    capsys.readouterr()
    assert main(arguments) == 2
    shown = capsys.readouterr()
    (line,) = [each for each in shown.err.splitlines() if each.startswith("error: ")]
    assert "Traceback" not in shown.err
    return line


def test_a_new_user_s_round_trip(here, capsys) -> None:
    assert main(["predict", "learner", "new.csv", "--task", "site", "--out", "answers.csv"]) == 0
    with open("answers.csv", newline="") as file:
        answers = list(csv.DictReader(file))
    with open("new.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [each["task"] for each in answers] == [each["site"] for each in rows]
    right = [a["kind"] == row["kind"] for a, row in zip(answers, rows, strict=True)]
    assert np.mean(right) > 0.6
    assert all(1 / 3 <= float(each["probability"]) <= 1 for each in answers)
    capsys.readouterr()
    assert main(["score", "learner", "new.csv"]) == 0
    shown = capsys.readouterr().out
    assert "north" in shown
    assert f"{100 * np.mean(right):.2f}" in shown


def test_the_task_may_be_named_or_inferred(here, capsys) -> None:
    capsys.readouterr()
    assert main(["predict", "learner", "new.csv", "--task", "south"]) == 0
    assert {line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]} == {"south"}
    assert main(["predict", "learner", "new.csv", "--infer"]) == 0
    found = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()[1:]]
    own = [("north", "south")[i % 2] for i in range(0, 5 * len(found), 5)]
    assert np.mean([a == b for a, b in zip(found, own, strict=True)]) > 0.9


def test_tasks_and_report_show_what_was_held_out(here, capsys) -> None:
    capsys.readouterr()
    assert main(["tasks", "learner"]) == 0
    shown = capsys.readouterr().out
    assert "kind from 4 columns, by mlp:20" in shown
    assert "kind 0, kind 1, kind 2" in shown
    assert main(["report", "learner", "--out", "page.html", "--overwrite"]) == 0
    page = Path("page.html").read_text("utf-8")
    for title in (
        "Accuracy matrix, task",
        "Forgetting",
        "Task confusion",
        "Calibration, domain",
        "Drift since a task",
    ):
        assert title in page
    quality = read_record(here / "learner").quality
    assert len(quality.given.matrix) == len(quality.confusion) == 2
    assert sum(map(sum, quality.confusion)) == sum(
        each.held_out for each in read_record(here / "learner").tasks
    )


def test_the_same_command_goes_on_and_another_file_adds_a_task(here, capsys) -> None:
    assert main([*FIT[:-6], "--out", "learner"]) == 0
    assert "north: learned already" in capsys.readouterr().err
    assert main([*FIT[:3], "kind", "--task", "site", "--out", "again", *SHORT]) == 0
    write("west.csv", *wine())
    assert main(["fit", "west.csv", "--name", "west", "--out", "again"]) == 0
    assert [each.name for each in read_record(here / "again").tasks] == ["south", "north", "west"]
    states = sorted(path.name for path in (here / "again").iterdir())
    assert states == [".lock", "data.json", *(f"held_out-{i}.npz" for i in (1, 2, 3)), "learner-3"]


def test_a_fit_that_fails_loses_nothing(here, monkeypatch, capsys) -> None:
    assert main([*FIT[:7], "kept", *SHORT]) == 0
    before = Path("kept/data.json").read_bytes()

    def broken(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ContinualLearner, "fit", broken)
        assert main(["fit", "new.csv", "--name", "new", "--out", "kept"]) == 130
        assert main([*FIT[:7], "kept", "--overwrite"]) == 130
    assert Path("kept/data.json").read_bytes() == before
    assert len(TableLearner.load(here / "kept").learner.tasks) == 2
    assert main([*FIT[:7], "kept", "--overwrite", *SHORT, "--holdout", "0"]) == 0
    assert [each.held_out for each in read_record(here / "kept").tasks] == [0, 0]
    assert main(["report", "kept", "--out", "none.html", "--overwrite"]) == 0
    assert "no rows were held out" in Path("none.html").read_text("utf-8")


def test_arrays_of_a_sample_keep_their_shape(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.arange(80) % 2
    images = (100 * y[:, None, None] + rng.integers(0, 99, (80, 4, 4))).astype(np.uint8)
    np.savez("images.npz", images=images, y=y)
    assert main(["fit", "images.npz", "--target", "y", "--out", "learner", *SHORT]) == 0
    columns = read_record(tmp_path / "learner").columns
    assert (columns.shape, columns.scaling, columns.inputs[0].unit > 100) == ((4, 4), "range", True)
    assert main(["score", "learner", "images.npz"]) == 0
    assert "100.00" in capsys.readouterr().out
    np.savez("objects.npz", images=np.array([{}, {}]), y=y[:2])
    assert "objects.npz must be a table" in error(["score", "learner", "objects.npz"], capsys)


def test_values_and_categories(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).standard_normal(60)
    rows = [[a, "red" if i % 2 else "blue", 3 * a + i % 2 + 0.5] for i, a in enumerate(x)]
    write("data.csv", ["a", "colour", "y"], rows)
    arguments = ["fit", "data.csv", "--target", "y", "--out", "learner", *SHORT]
    assert "'colour' with 'blue' in row 1" in error(arguments, capsys)
    assert not Path("learner").exists()
    assert main([*arguments, "--categories", "colour"]) == 0
    assert main(["predict", "learner", "data.csv", "--out", "out/answers.csv"]) == 0
    with open("out/answers.csv", newline="") as file:
        found = [float(row["y"]) for row in csv.DictReader(file)]
    assert np.corrcoef(found, [row[2] for row in rows])[0, 1] > 0.9
    assert main(["report", "learner", "--out", "page.html"]) == 0
    write("data.csv", ["a", "colour", "y"], [[1.0, "green", 2.0]])
    assert "'green' in row 1" in error(["predict", "learner", "data.csv"], capsys)


def test_a_model_of_one_s_own(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("ours.py").write_text(
        "from hypermnesia.nets import NetSettings, mlp\n"
        "def net(sample_shape, outputs, settings: NetSettings):\n"
        "    return mlp(sample_shape, outputs, NetSettings(hidden=(8,)))\n"
    )
    write("data.csv", ["a", "y"], [[i % 2 + 0.1 * i, i % 2] for i in range(40)])
    command = ["fit", "data.csv", "--target", "y", "--out", "l", "--model", "ours:net", *SHORT[2:]]
    assert main(command) == 0
    assert main(["score", "l", "data.csv"]) == 0
    stored = json.loads(Path("l/data.json").read_text())
    assert stored["model"] == "ours:net"


def test_parquet_is_read_where_pyarrow_is_there_and_refused_where_not(here, capsys) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        Path("new.parquet").touch()
        line = error(["score", "learner", "new.parquet"], capsys)
        assert "pip install 'hypermnesia[parquet]'" in line
        pytest.skip("the rest needs pyarrow: pip install 'hypermnesia[parquet]'")
    with open("new.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {
        name: [row[name] if name in ("site", "kind") else float(row[name]) for row in rows]
        for name in rows[0]
    }
    parquet.write_table(pa.table(columns), "new.parquet")
    capsys.readouterr()
    for name in ("new.csv", "new.parquet"):
        assert main(["predict", "learner", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]
    columns["ash"][2] = None
    parquet.write_table(pa.table(columns), "new.parquet")
    assert "column 'ash', row 3" in error(["predict", "learner", "new.parquet"], capsys)


TABLES = {
    "gap": ("a,y\n1,0\n,1\n", "none in column 'a', row 2 of t.csv"),
    "word": ("a,y\n1,0\nx,1\n", "'a' with 'x' in row 2 of t.csv"),
    "infinite": ("a,y\n1,0\ninf,1\n", "row 2 of t.csv"),
    "ragged": ("a,y\n1,0\n1\n", "1 values in row 2 for 2 columns"),
    "twice": ("a,a,y\n1,0,0\n", "'a' twice"),
    "unnamed": (",a,y\n1,0,0\n", "none for column 1"),
    "empty": ("", "an empty file"),
    "header": ("a,y\n", "a table must have rows"),
    "target only": ("y\n1\n", "a model needs columns of inputs"),
    "one row": ("a,y\n1,0\n", "needs two rows or more"),
    "no target": ("a,y\n1,\n2,3\n", "none in column 'y', row 1"),
}


@pytest.mark.parametrize(("text", "says"), TABLES.values(), ids=list(TABLES))
def test_a_table_that_cannot_be_learned(text, says, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(text, "utf-8")
    assert says in error(["fit", "t.csv", "--target", "y", "--out", "learner"], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_semicolons_and_a_byte_order_mark_are_read(tmp_path, monkeypatch) -> None:
    from hypermnesia.learner.tables import read_table

    path = tmp_path / "t.csv"
    path.write_bytes(b'\xef\xbb\xbfa; "b,c" ;y\n1;"x,y";?\n\n2; z ;3\n')
    table = read_table(path)
    assert list(table.columns) == ["a", "b,c", "y"]
    assert table.values("a").tolist() == [1, 2]
    assert table.values("b,c").tolist() == ["x,y", "z"]


MISTAKES = {
    "fit none.csv --target kind --out x": "No such file or directory: none.csv",
    "fit data.xlsx --target kind --out x": "a table must be one of .csv",
    "fit data.csv --out x": "--target",
    "fit data.csv --target kin --out x": "did you mean 'kind'",
    "fit data.csv --target kind --task sit --out x": "did you mean 'site'",
    "fit data.csv --target kind --ignore sit --out x": "did you mean 'site'",
    "fit data.csv --target kind --task site --name a --out x": "leave one out",
    "fit data.csv --target kind --task site --model mpl:20 --out x": "mpl:20",
    "fit data.csv --target kind --task site --model mlp:a,b --out x": "mlp:200,200",
    "fit data.csv --target kind --task site --scale al --out x": "scale",
    "fit data.csv --target kind --task site --holdout 1 --out x": "--holdout must be a share",
    "fit data.csv --target kind --task site --set bta=1 --out x": "did you mean 'beta'",
    "fit data.csv --target kind --task site --set beta=-1 --out x": "beta must be 0 or more",
    "fit data.csv --target kind --task site --threads 0 --out x": "--threads must be 1",
    "fit data.csv --target kind --task site --out .": "a learner needs a folder of its own",
    "fit data.csv --target site --out learner": "--target site, where it has kind",
    "fit data.csv --model mlp:10 --out learner": "--model mlp:10, where it has mlp:20",
    "fit data.csv --ignore ash --out learner": "--ignore ash",
    "fit new.csv --out learner": "a task is learned once",
    "predict learner new.csv --task east": "task, or column of tasks",
    "predict learner new.csv --task site --infer": "--task and --infer",
    "predict learner new.csv --out new.csv": "new.csv, which exists",
    "predict nowhere new.csv": "nowhere, which is none",
    "score learner none.npz": "none.npz",
    "tasks data.csv": "data.csv, which is none",
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line(command, here, capsys) -> None:
    before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
    assert MISTAKES[command] in error(command.split(), capsys)
    assert {path: path.stat().st_mtime_ns for path in here.rglob("*")}.keys() == before.keys()


def test_a_damaged_folder_is_told(here, capsys) -> None:
    assert isinstance(read_record(here / "learner"), Record)
    text = Path("learner/data.json").read_text("utf-8")
    for damaged in (text.replace('"kind 0"', '"kind 9"'), "{", text.replace('"step": 2', "")):
        Path("damaged").mkdir(exist_ok=True)
        Path("damaged/data.json").write_text(damaged, "utf-8")
        assert "damaged" in error(["tasks", "damaged"], capsys)
