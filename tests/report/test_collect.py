import json
import os

import pytest
from report_runs import made

from hypermnesia.errors import ConfigError, HypermnesiaError, RunError
from hypermnesia.report.collect import collect
from unsealed import unseal


def labels(tmp_path, *names, methods=None):
    for position, name in enumerate(names):
        made(tmp_path / name, (methods or ["finetune"] * len(names))[position])
    return [run.label for run in collect([tmp_path / name for name in names])]


def test_a_run_is_called_after_its_method(tmp_path):
    assert labels(tmp_path, "a", "b", methods=["ewc", "finetune"]) == ["ewc", "finetune"]


def test_runs_of_one_method_are_called_after_their_folders(tmp_path):
    assert labels(tmp_path, "small", "large-2") == ["small", "large-2"]


@pytest.mark.parametrize("second", ["$\\frac$", "_hidden", "<b>", "x" * 50, "ewc"])
def test_a_folder_whose_name_is_not_plain_is_called_by_its_position(tmp_path, second):
    found = labels(tmp_path, "a", second, "e", methods=["finetune", "finetune", "ewc"])
    assert found == ["a", "finetune (run 2)", "ewc"]


def test_folders_of_one_name_are_told_apart(tmp_path):
    found = labels(tmp_path, "x/run", "y/run")
    assert found == ["finetune (run 1)", "finetune (run 2)"]


def test_a_finished_run_lacks_nothing(tmp_path):
    made(tmp_path / "a")
    (run,) = collect([tmp_path / "a"])
    assert (list(run.results), list(run.environments), run.missing) == ([0, 1], [0, 1], [])
    assert run.summary.figures["seconds"]["n"] == 2


def test_reading_changes_nothing(tmp_path):
    made(tmp_path / "a")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert collect([tmp_path / "a"])[0].summary.figures
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_unfinished_seeds_are_said_with_the_command_that_goes_on(tmp_path):
    made(tmp_path / "a b", seeds=tuple(range(20)), finished=(3,))
    (run,) = collect([tmp_path / "a b"])
    assert list(run.results) == [3]
    (line,) = run.missing
    assert line.startswith("seeds 0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12 and 7 more: not finished")
    assert line.endswith(f"hypermnesia resume '{tmp_path}/a b'")


@pytest.mark.parametrize("damage", ["{", "null", '{"seed": 1, "owner": "other"}'])
def test_a_damaged_seed_is_left_out_and_said(tmp_path, damage):
    folder = made(tmp_path / "a")
    folder.seed(1).result.write_text(damage)
    (run,) = collect([tmp_path / "a"])
    assert list(run.results) == [0]
    (line,) = run.missing
    assert line.startswith("seed 1: ")
    assert "result.json" in line


def test_a_missing_environment_is_said(tmp_path):
    made(tmp_path / "a").seed(0).environment.unlink()
    (run,) = collect([tmp_path / "a"])
    assert (list(run.results), list(run.environments)) == ([0, 1], [1])
    assert "environment.json" in run.missing[0]


def test_no_path_leaves_the_folder(tmp_path):
    folder, other = made(tmp_path / "a"), made(tmp_path / "b")
    for seed in (0, 1):
        for file in folder.seed(seed).path.iterdir():
            file.unlink()
    folder.seed(0).path.rmdir()
    folder.seed(0).path.symlink_to(other.seed(0).path)
    folder.seed(1).result.symlink_to(other.seed(1).result)
    (run,) = collect([tmp_path / "a"])
    assert run.results == {}
    assert "a link to elsewhere" in run.missing[0]
    assert "not a regular file" in run.missing[1]


def test_a_thousand_problems_are_a_few_lines(tmp_path):
    folder = made(tmp_path / "a", seeds=tuple(range(40)))
    for seed in range(40):
        folder.seed(seed).result.write_text("{")
    (run,) = collect([tmp_path / "a"])
    assert len(run.missing) == 11
    assert run.missing[-1] == "and 30 more of this kind"


def test_a_run_is_named_once_however_it_is_spelt(tmp_path):
    made(tmp_path / "a")
    os.symlink(tmp_path / "a", tmp_path / "b")
    with pytest.raises(ConfigError, match="named once"):
        collect([tmp_path / "a", tmp_path / "b"])


def test_what_is_no_run_is_an_error(tmp_path):
    with pytest.raises(RunError, match="run folder"):
        collect([tmp_path])


@pytest.mark.parametrize("field", ["method", "benchmark"])
def test_names_that_this_version_does_not_know_are_an_error(tmp_path, field):
    folder = made(tmp_path / "a")
    config = folder.read_config().model_copy(update={field: "<b>new"})
    folder.write_config(config)
    with pytest.raises(HypermnesiaError, match="must be one that exists"):
        collect([tmp_path / "a"])


def test_a_seed_that_was_trained_unlike_the_others_is_left_out(tmp_path):
    folder = made(tmp_path / "a", seeds=(0, 1, 2))
    fields = json.loads(folder.seed(1).result.read_text())
    fields["seconds_per_iteration"] = [0.1]
    folder.seed(1).result.write_text(json.dumps(fields))
    unseal(folder.seed(1).result)
    (run,) = collect([tmp_path / "a"])
    assert list(run.results) == [0, 2]
    assert run.missing == ["seed 1: 1 phases of training where another seed has 3"]


def test_results_of_a_stranger_are_bounded(tmp_path):
    folder = made(tmp_path / "a", seeds=(0,))
    fields = json.loads(folder.seed(0).result.read_text())
    fields["seconds_per_iteration"] = [0.1] * 10**5
    folder.seed(0).result.write_text(json.dumps(fields))
    unseal(folder.seed(0).result)
    (run,) = collect([tmp_path / "a"])
    assert "100000 phases" in run.missing[0]
