"""`hypermnesia report` as it is typed, on runs that were trained."""

import pytest

from hypermnesia.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two short runs, one of them unfinished."""
    out = tmp_path_factory.mktemp("runs")
    short = ["--set", "train.iterations=3", "--tasks", "2", "--out", str(out)]
    main(["run", "split-digits", "--method", "hnet,finetune", "--seeds", "0-1", *short])
    (out / "split-digits_finetune_task" / "seed-1" / "result.json").unlink()
    return out


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_report_is_written_and_says_what_is_missing(runs, tmp_path, capsys):
    names = sorted(str(path) for path in runs.iterdir())
    assert main(["report", *names, "--out", "new/page.html"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "new/page.html\n"
    assert shown.err.startswith("finetune: seed 1: not finished; go on with: hypermnesia resume")
    page = (tmp_path / "new" / "page.html").read_text()
    assert f"hypermnesia report {names[0]} {names[1]} --out new/page.html" in page
    assert "hypermnesia run split-digits --method hnet --scenario task --seeds 0-1" in page


def test_nothing_is_replaced_unless_told(runs, tmp_path, capsys):
    run = str(runs / "split-digits_hnet_task")
    (tmp_path / "report.html").write_text("dear")
    assert main(["report", run]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "report.html").read_text() == "dear"
    assert main(["report", run, "--overwrite"]) == 0
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere"], "nowhere without any"),
        ([], "Missing argument"),
        (["{run}", "{run}/."], "named once"),
        (["{run}", "--out", "{run}/config.yaml", "--overwrite"], "called .html"),
        (["{run}", "--out", "/proc/nowhere/r.html"], "writable"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(runs, tmp_path, capsys, arguments, expected):
    run = str(runs / "split-digits_hnet_task")
    assert main(["report", *(argument.format(run=run) for argument in arguments)]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert expected in line
    assert list(tmp_path.iterdir()) == []
