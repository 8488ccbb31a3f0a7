"""README and documents: commands run up to where training would begin, tables say what runs did."""

from pathlib import Path

import pytest
from kept_results import mean_text, summaries
from result_tables import DOCUMENTS, filled

from commands import dry_run, in_documents, parse

ROOT = Path(__file__).parents[2]
GUIDES = [
    ROOT / "README.md",
    ROOT / "docs/tutorial.md",
    *sorted((ROOT / "docs/howto").glob("*.md")),
]
OTHERS = [ROOT / "CONTRIBUTING.md", ROOT / "docs/results.md", ROOT / "benchmarks/README.md"]
IN_PROSE = [
    ("perm-mnist", "hnet-lik", "`hnet-lik` and `hnet-tir` reach {}"),
    ("perm-mnist", "hnet-tir", "`hnet-lik` and `hnet-tir` reach {}"),
    ("split-fashion", "hnet-lik", "`hnet-lik` reaches {}"),
    ("split-fashion", "dgr", "DGR {}"),
    ("split-fashion", "patch-sum", "`patch-sum` {}"),
    ("split-fashion", "joint", "joint training {}"),
    ("split-cifar10", "patch-sum", "from scratch `patch-sum` reaches {}"),
]
NEED_NO_RUN = ("run", "resume", "compare", "reproduce", "tune", "explain", "list", "doctor")


def commands(paths, names=None):
    return [
        pytest.param(arguments, id=f"{path.name}: {' '.join(arguments)}")
        for path in paths
        for arguments in in_documents(path.read_text())
        if names is None or arguments[0] in names
    ]


@pytest.mark.parametrize("arguments", commands([*GUIDES, *OTHERS]))
def test_every_command_can_be_read(arguments):
    parse(arguments)


@pytest.mark.parametrize("arguments", commands(GUIDES, NEED_NO_RUN))
def test_a_command_of_a_guide_gets_as_far_as_its_training(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert dry_run(arguments, monkeypatch) == 0, capsys.readouterr().err


def test_commands_are_found_and_a_wrong_one_is_told():
    text = "```bash\nX=1 .venv/bin/hypermnesia run a --seeds 0-2 && cd x  # why\n```\n"
    (found,) = in_documents(text)
    assert found == ["run", "a", "--seeds", "0-2"]
    with pytest.raises(Exception, match="No such option"):
        parse(["run", "a", "--sedes", "0"])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_the_tables_of_results_say_what_the_kept_runs_measured(path):
    text = path.read_text("utf-8")
    assert filled(text) == text, "write them anew: python docs/_ext/result_tables.py"


def test_a_table_of_results_that_says_something_else_is_told():
    table = "<!-- results: split-mnist -->\n\n| method | task |\n|---|---|\n| ewc | 100.00 |\n"
    assert "| ewc | 99.53 ± 0.05 (99.12) |" in filled(table)
    with pytest.raises(ValueError, match="needs an empty line"):
        filled(table.replace("\n\n", "\n"))


@pytest.mark.parametrize(("benchmark", "method", "words"), IN_PROSE)
def test_figures_of_the_prose_of_readme_are_those_of_kept_runs(benchmark, method, words):
    (run,) = (
        run
        for run in summaries()
        if (run.config.benchmark, run.config.method) == (benchmark, method)
        and "class" in run.scenarios
    )
    text = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert words.format(mean_text(run.scenarios["class"]["acc"])) in text
