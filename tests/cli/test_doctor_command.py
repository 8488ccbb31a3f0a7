import json

import pytest

from hypermnesia.cli import main
from hypermnesia.experiments import doctor


@pytest.fixture(autouse=True)
def _quick(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HYPERMNESIA_DATA", raising=False)
    monkeypatch.setitem(doctor._SIDE, "cpu", 8)
    monkeypatch.setattr(doctor, "_BUDGET", 0.0)


def test_it_says_what_there_is_and_what_is_missing(tmp_path, capsys):
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    for text in ("torch", "memory", "float32", "bf16", "split-cifar10-100", "dev"):
        assert text in shown
    cached = f"missing in {tmp_path / 'cache/hypermnesia/cifar100'}: train.bin, test.bin"
    assert f"{cached}; downloaded when first needed" in shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["split-digits", "can", "run"] in lines
    (tmp_path / "data").mkdir()
    assert main(["doctor", "--data-dir", str(tmp_path / "data")]) == 0
    shown = capsys.readouterr().out
    assert f"missing in {tmp_path / 'data'}: train.bin, test.bin" in shown
    assert "needs cifar10, cifar100" in shown


def test_json_says_the_same_to_programs(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) >= {"environment", "memory", "rates", "data", "benchmarks", "extras"}
    assert {"name": "split-digits", "missing": []} in found["benchmarks"]
    assert found["rates"][0]["format"] == "float32"


def test_a_rate_that_is_not_there_is_a_dash(monkeypatch, capsys):
    def fail(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(doctor, "product_rate", fail)
    assert main(["doctor"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["cpu", "bf16", "-", "-"] in lines
