from report_runs import made

from hypermnesia.report.collect import collect
from hypermnesia.report.tables import (
    cost_table,
    environment_table,
    matrix_tables,
    results_table,
    settings_table,
)


def runs(tmp_path, *methods, **how):
    for method in methods:
        made(tmp_path / method, method, "train.iterations=1000", **how)
    return collect([tmp_path / method for method in methods])


def test_a_row_for_each_run_and_scenario(tmp_path):
    table = results_table(runs(tmp_path, "hnet-ent", "ewc"))
    assert list(table.headings[:5]) == ["method", "scenario", "ACC %", "during %", "BWT"]
    names = [tuple(row[:2]) for row in table.rows]
    assert names == [
        (m, s)
        for m, s in zip(
            ["hnet-ent"] * 3 + ["ewc"], ["task", "domain", "class", "task"], strict=True
        )
    ]
    assert table.rows[0][2] == "91.17±0.50"
    assert table.rows[0][-1] == "2"


def test_cost_is_milliseconds_and_seconds_of_each_task(tmp_path):
    table = cost_table(runs(tmp_path, "ewc", "joint"))
    assert table.headings == ["task", "ewc", "joint"]
    assert table.rows == [
        ["1", "3 (3 s)", "-"],
        ["2", "5 (5 s)", "-"],
        ["3", "7 (7 s)", "-"],
        ["all at once", "-", "3 (9 s)"],
    ]


def test_tasks_trained_all_at_once_only(tmp_path):
    assert cost_table(runs(tmp_path, "joint")).rows == [["all at once", "3 (9 s)"]]


def test_runs_may_have_learned_different_numbers_of_tasks(tmp_path):
    for method, tasks in (("ewc", 1), ("si", 2), ("hnet", 4)):
        made(tmp_path / method, method, "train.iterations=1000", tasks=tasks, seeds=(0,))
    table = cost_table(collect([tmp_path / name for name in ("ewc", "si", "hnet")]))
    assert table.rows == [
        ["1", "-", "2 (2 s)", "2 (2 s)"],
        ["2", "-", "4 (4 s)", "4 (4 s)"],
        ["3", "-", "-", "6 (6 s)"],
        ["4", "-", "-", "8 (8 s)"],
        ["all at once", "2 (2 s)", "-", "-"],
    ]


def test_epochs_have_no_known_seconds(tmp_path):
    made(tmp_path / "a", "ewc", "train.iterations=null", "train.epochs=2", seeds=(0,))
    assert [row[1] for row in cost_table(collect([tmp_path / "a"])).rows] == ["2", "4", "6"]


def test_matrices_that_can_be_read(tmp_path):
    (run,) = runs(tmp_path, "ewc", tasks=2)
    (table,) = matrix_tables(run)
    assert table.title == "Accuracy matrix, task scenario, %, mean of 2 seeds"
    assert table.rows == [["1", "94.50", ""], ["2", "91.50", "94.50"]]


def test_matrices_too_large_to_read_are_left_out(tmp_path):
    (run,) = runs(tmp_path, "ewc", tasks=21, benchmark="perm-digits", seeds=(0,))
    assert list(matrix_tables(run)) == []


def test_settings_are_those_that_the_method_reads(tmp_path):
    (run,) = runs(tmp_path, "ewc")
    settings = dict(settings_table(run).rows)
    assert "strength: " in settings["penalty"]
    assert "iterations: 1000" in settings["train"]
    assert "hypernet" not in settings
    assert "machine" not in settings


def test_machines_that_differ_have_a_column_each(tmp_path):
    folder = made(tmp_path / "a", seeds=tuple(range(8)), environment={"cpu": "A", "cores": 2})
    assert environment_table(collect([folder.path])[0]).headings == [
        "fact",
        "seeds 0, 1, 2, 3, 4, 5, 6, 7",
    ]
    for seed in range(2, 8):
        folder.seed(seed).environment.write_text(f'{{"cpu": "{"B" * 500}{seed}", "gpu": {seed}}}')
    table = environment_table(collect([folder.path])[0])
    assert table.title == "Environment, 4 of 7"
    assert table.headings == ["fact", "seeds 0, 1", "seed 2", "seed 3", "seed 4"]
    assert [row[0] for row in table.rows] == ["cpu", "cores", "gpu"]
    assert table.rows[2] == ["gpu", "", "2", "3", "4"]
    assert all(len(cell) <= 300 for row in table.rows for cell in row)
