"""Every fault a few times; `python tests/faults/campaign.py` tries each as often as you like."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaign import table, tried
from lab import Ended, Lab, LostError

from faults import FAULTS, MENDED, SAME


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"), seed=2026)


@pytest.mark.parametrize("name", list(FAULTS))
def test_nothing_is_lost(lab: Lab, name: str, request: pytest.FixtureRequest) -> None:
    kills = request.config.getoption("--kills")
    share = 1 if "kill -9" in name else 2 if "instant" in name else 4
    tries = max(1, kills // share)
    outcomes = tried(lab, name, tries)
    assert outcomes.total() >= tries
    assert not outcomes["lost"], outcomes


def test_the_campaign_notices_a_loss(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(lab: Lab) -> list[str]:
        folder = lab.broken()
        lab.resumed(folder).succeeded()
        path = next(folder.rglob("seed-1/weights.safetensors"))
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        lab.same(folder)
        return [SAME]

    monkeypatch.setitem(FAULTS, "forgetful", forgetful)
    outcomes = tried(lab, "forgetful", 1)
    assert outcomes["lost"] == 1
    last = table({"forgetful": outcomes}).splitlines()[-1]
    assert last == "| forgetful | 1 | 0 | 0 | 1 |"


@pytest.mark.parametrize(
    ("code", "errors"),
    [
        (0, ""),
        (1, "error: full\n"),
        (2, "error: other\n"),
        (2, "Traceback\nerror: full\n"),
        (2, ""),
    ],
)
def test_only_an_error_of_one_line_is_one(code: int, errors: str) -> None:
    with pytest.raises(LostError):
        Ended(code, errors).refused("full")
    Ended(2, "progress\nerror: the disk is full\n").refused("full")


def test_the_first_seed_is_looked_at(lab: Lab) -> None:
    folder = lab.broken()
    lab.first_seed_intact(folder)
    path = next(Path(folder).rglob("seed-0/result.json"))
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(LostError, match="intact"):
        lab.first_seed_intact(folder)
    assert {SAME, MENDED}
