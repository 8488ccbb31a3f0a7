"""What the README says a program prints is what it prints."""

from __future__ import annotations

import os
import re
from pathlib import Path

from kept_results import summaries

from commands import in_documents
from hypermnesia.cli import main

README = Path(__file__).parents[1] / "README.md"
PAIR = re.compile(r"^```python\n(?P<code>.*?)^```\n\n```text\n(?P<out>.*?)^```", re.M | re.S)


def test_the_learner_s_example_prints_what_it_says(tmp_path, capsys, monkeypatch) -> None:
    (pair,) = PAIR.finditer(README.read_text("utf-8"))
    monkeypatch.chdir(tmp_path)
    exec(compile(pair["code"], str(README), "exec"), {"__name__": "__main__"})  # noqa: S102
    assert capsys.readouterr().out == pair["out"]


def test_the_first_command_is_the_one_whose_results_stand_below_it() -> None:
    """The table itself is held by tests/docs/test_documents.py."""
    first = next(in_documents(README.read_text("utf-8")))
    assert first[:2] == ["compare", "split-digits"]
    kept = [run for run in summaries() if run.config.benchmark == "split-digits"]
    assert {run.config.method for run in kept} == {"finetune", "ewc", "hnet-lik"}
    assert first[first.index("--method") + 1] == "finetune,ewc,hnet-lik"
    assert all(list(run.config.seeds) == [0, 1, 2] for run in kept)
    by_class = {
        run.config.method: run.scenarios["class"]["acc"]["mean"]
        for run in kept
        if "class" in run.scenarios
    }
    assert by_class["hnet-lik"] > 90
    assert max(by_class["finetune"], by_class["ewc"]) < 25


def test_waiting_threads_do_not_spin_unless_asked_to(monkeypatch, capsys) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert main(["--version"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert main(["--version"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == "active"
    capsys.readouterr()
