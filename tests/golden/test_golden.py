"""The numbers of every method are those that were frozen: see README.md beside this file."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from golden import freeze, runs
from golden.cases import VARIANTS, Case
from golden.machine import fingerprint
from golden.values import CASES, METHOD_RUNS, differences, made, path, values_of

EVERY = [(group, name) for group, names in CASES.items() for name in names]
LAST_SCENARIOS = {case.method: name for name, case in METHOD_RUNS.items()}
"""A run of each method."""

RESUMED = {name: METHOD_RUNS[name] for name in LAST_SCENARIOS.values()}
RESUMED |= {name: VARIANTS[name] for name in ("sampled", "direct", "lenet", "dropout", "augmented")}
KILLED = ("si-class", "hnet-lik-class")


@cache
def stored(group: str) -> dict[str, Any]:
    """The golden values of a group."""
    return json.loads(path(group).read_text("utf-8"))


def check(group: str, name: str, now: dict[str, Any]) -> None:
    """Bit by bit on the machine that they were made on."""
    found = stored(group)
    exact = found["machine"] == fingerprint()
    golden = found["cases"][name]
    if "samples" in golden and now["samples"] is None:  # nobody counted them
        now = {**now, "samples": golden["samples"]}
    lines = [*differences(golden, now, exact=exact)]
    assert not lines, f"{group}/{name} ({'exact' if exact else 'close'}):\n" + "\n".join(lines[:12])


@pytest.mark.parametrize(("group", "name"), EVERY, ids=[f"{g}-{n}" for g, n in EVERY])
def test_the_numbers_are_as_frozen(group: str, name: str, tmp_path: Path) -> None:
    check(group, name, made(group, name, tmp_path))


@pytest.mark.parametrize("name", RESUMED)
def test_a_run_that_was_stopped_in_the_middle_ends_with_them(name: str, tmp_path: Path) -> None:
    group = "methods" if name in METHOD_RUNS else "settings"
    check(group, name, values_of(runs.run_in_two_parts(RESUMED[name], tmp_path)))


@pytest.mark.parametrize("name", KILLED)
def test_a_run_that_was_killed_in_the_middle_ends_with_them(name: str, tmp_path: Path) -> None:
    check(
        "methods", name, values_of(runs.run_in_two_parts(METHOD_RUNS[name], tmp_path, killed=True))
    )


@pytest.mark.parametrize("name", ["hnet-task", "hnet-tir-class", "ewc-domain"])
def test_the_command_line_gives_them_too(name: str, tmp_path: Path) -> None:
    check("methods", name, values_of(runs.run_by_command(METHOD_RUNS[name], tmp_path)))


def test_every_case_has_golden_values() -> None:
    for group, names in CASES.items():
        assert stored(group)["cases"].keys() == names.keys()


def test_everything_registered_has_a_case() -> None:
    cases = [*METHOD_RUNS.values(), *VARIANTS.values()]
    chosen = [word for case in cases for word in case.assignments()]
    defaults = {"closed", "optimizer", "adam", "mlp", "even"}
    for field, names in runs.registered().items():
        for name in names - defaults:
            assert f"{field}={name}" in chosen


def test_another_seed_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On any machine."""
    monkeypatch.setattr(runs, "SEED", 1)
    golden = stored("methods")["cases"]["hnet-task"]
    now = made("methods", "hnet-task", tmp_path)
    for exact in (True, False):
        lines = [*differences(golden, now, exact=exact)]
        assert any("/losses/" in line for line in lines)
        assert any("/weights/" in line for line in lines)
        assert any("/networks/2/" in line for line in lines)


def test_a_last_bit_is_noticed_where_it_must_be() -> None:
    golden = stored("methods")["cases"]["hnet-ent-class"]
    for change, noticed in ((1e-12, [True, False]), (1e-4, [True, True])):
        now = copy.deepcopy(golden)
        now["losses"][1] += change
        assert [bool([*differences(golden, now, exact=e)]) for e in (True, False)] == noticed
    for samples, noticed in ((1, [True, False]), (2, [True, True])):
        now = copy.deepcopy(golden)
        now["accuracy"]["class"][2][0] += 100 * samples / golden["samples"][0]
        assert [bool([*differences(golden, now, exact=e)]) for e in (True, False)] == noticed


def test_golden_values_are_not_overwritten_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    before = path("learner").read_bytes()
    with pytest.raises(SystemExit):
        freeze.main(["learner"])
    assert "--overwrite" in capsys.readouterr().err
    assert path("learner").read_bytes() == before


def test_a_case_says_what_is_run() -> None:
    words = Case("hnet", "task", (("optimizer.lr", "0.5"),)).assignments()
    assert "optimizer.lr=0.5" in words
    assert "train.iterations=20" in words
