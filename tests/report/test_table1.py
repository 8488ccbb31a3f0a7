import json

import pytest

from hypermnesia.cli import main
from hypermnesia.experiments.compare import Cell, plan
from hypermnesia.methods import METHODS
from hypermnesia.report.comparison import (
    METHOD_NAMES,
    published,
    table1,
    table1_question,
    write_files,
)


def row(table, method, scenario):
    (found,) = [list(r) for r in table.rows if list(r[:2]) == [method, scenario]]
    return found[2:]


def test_published_values_are_the_papers():
    found = published()
    assert found.of("split-mnist", "hnet-r", "class") == 95.30
    assert found.of("perm-mnist", "si", "domain") == 95.33
    assert len(found.accuracies) == 2 * 6 * 3 + 2
    assert {method for _, method, _ in found.accuracies} <= set(METHOD_NAMES)


def test_every_row_of_the_paper_is_there_even_without_its_method(monkeypatch, tmp_path):
    monkeypatch.delitem(METHODS._entries, "ewc", raising=False)
    cells = plan(table1_question((0, 1), "paper", {}, quick=False))
    done = [
        Cell(
            cell.benchmark,
            cell.scenario,
            cell.method,
            cell.config,
            {s: {"acc": 98.0 + s, "task_inference": 50.0} for s in (0, 1)},
        )
        if (cell.benchmark, cell.method) == ("split-mnist", "joint")
        else cell
        for cell in cells
    ]
    report = table1(done)
    perm, split = report.tables
    assert [table.title for table in report.tables] == [
        "perm-mnist, recipe paper",
        "split-mnist, recipe paper",
    ]
    assert len(perm.rows) == len(split.rows) == 8 * 3
    assert row(split, "ewc", "domain") == ["64.32", "no such method here", "-"]
    assert row(split, "joint", "class") == ["98.17", "98.50 ± 0.50 (2)", "+0.33"]
    assert row(split, "joint", "task") == ["-", "98.50 ± 0.50 (2)", "-"]
    assert row(perm, "joint", "task") == ["-", "not finished (0 of 2)", "-"]
    assert any("ICLR 2020" in note for note in report.notes)
    stored = json.loads(write_files(report, tmp_path, "table1")[3].read_text())["cells"]
    (joint,) = [
        cell
        for cell in stored
        if (cell["benchmark"], cell["method"], cell["scenario"])
        == ("split-mnist", "joint", "class")
    ]
    assert (joint["published"], joint["mean"]) == (98.17, 98.5)
    assert joint["difference"] == pytest.approx(0.33)


def test_the_quick_table_has_the_same_rows_and_nothing_published(tmp_path, capsys):
    command = ["reproduce", "table1", "--quick", "--no-train", "--out", str(tmp_path)]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "split-digits, recipe quick" in shown
    assert shown.count("hnet-lik") == 2 * 3
    assert "nothing published" in shown
    assert (tmp_path / "table1-quick.tex").is_file()
    assert not (tmp_path / "perm-digits_joint_task").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["table2"], "did you mean 'table1'"),
        (["table1", "--quick", "--recipe", "best"], "--quick has a recipe of its own"),
        (["table1", "--seeds", "x"], "0-2 or 0,3,5-7"),
        (["table1", "--jobs", "0"], "--jobs"),
        (["table1", "--no-train", "--recipe", "quick"], "recipe of perm-mnist"),
    ],
)
def test_what_cannot_be_reproduced_is_refused(arguments, expected, capsys):
    assert main(["reproduce", *arguments]) == 2
    assert expected in capsys.readouterr().err
