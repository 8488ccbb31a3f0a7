"""The long run, a short one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from long_run import command, digests, followed, main, table
from pace import pace


def test_a_run_that_is_killed_late_ends_the_same(tmp_path: Path) -> None:
    arguments = [*command(4, 2), "--out", str(tmp_path), "--name"]
    resident = followed([*arguments, "whole"])
    assert list(resident) == [1, 2, 3, 4]
    assert followed([*arguments, "cut"], kill_at=3).keys() <= {1, 2, 3, 4}
    followed(["resume", str(tmp_path / "cut")])
    whole, cut = (tmp_path / name / "seed-0" for name in ("whole", "cut"))
    assert digests(whole) == digests(cut)
    seconds = json.loads((whole / "result.json").read_text())["seconds_per_iteration"]
    assert table(resident, seconds, {2: 1.25}).splitlines()[-1].endswith("| 1.2 |")


def test_an_update_has_a_pace() -> None:
    paces = pace(3, [2, 3])
    assert list(paces) == [2, 3]
    assert all(milliseconds > 0 for milliseconds in paces.values())


def test_a_difference_is_noticed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def done(arguments: list[str], kill_at: int | None = None) -> dict[int, float]:
        if arguments[-1] == "whole":
            seed = Path(arguments[-3]) / "whole/seed-0"
            seed.mkdir(parents=True)
            (seed / "result.json").write_text('{"seconds_per_iteration": [0.001, 0.002]}')
        return {1: 400.0, 2: 401.0}

    different = iter(({"weights": "a"}, {"weights": "b"}))
    monkeypatch.setattr("long_run.followed", done)
    monkeypatch.setattr("long_run.digests", lambda seed: next(different))
    monkeypatch.setattr("sys.argv", ["long_run.py", "--tasks", "2", "--at", "2"])
    assert main() == 1
    told = capsys.readouterr().out
    assert told.splitlines()[2].startswith("| 2 | 401 | 1.5 | ")
    assert "the same figures, weights and log: False" in told
