import pytest
import torch

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.data.datasets import FILES
from hypermnesia.experiments import doctor
from hypermnesia.experiments.doctor import examine


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, and rates that take no time."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HYPERMNESIA_DATA", raising=False)
    monkeypatch.setitem(doctor._SIDE, "cpu", 8)
    monkeypatch.setattr(doctor, "_BUDGET", 0.0)
    return tmp_path / "cache" / "hypermnesia"


def put(folder):
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / f"{name}.gz").touch()


def by_name(entries):
    return {entry.name: entry for entry in entries}


def test_what_is_in_the_cache_can_be_run(cache):
    before = by_name(examine().data)["mnist"]
    assert (before.missing, before.cached) == (FILES, False)
    put(cache / "mnist")
    found = examine()
    assert found.data_folder is None
    after = by_name(found.data)["mnist"]
    assert (after.folder, after.missing, after.cached) == (str(cache / "mnist"), (), True)
    missing = {each.name: each.missing for each in found.benchmarks}
    assert missing["split-mnist"] == missing["perm-mnist"] == missing["split-digits"] == ()
    assert missing["split-cifar10-100"] == ("cifar10", "cifar100")
    assert list(missing) == list(BENCHMARKS)


def test_a_folder_that_is_named_counts_whatever_the_cache_holds(cache, tmp_path, monkeypatch):
    put(cache / "mnist")
    put(tmp_path / "data" / "fashion-mnist")
    (tmp_path / "data" / "fashion-mnist" / f"{FILES[2]}.gz").unlink()
    for found in (examine(tmp_path / "data"), _by_environment(tmp_path / "data", monkeypatch)):
        data = by_name(found.data)
        assert found.data_folder == str(tmp_path / "data")
        assert data["fashion-mnist"].missing == (FILES[2],)
        assert (data["mnist"].missing, data["mnist"].cached) == (FILES, True)
        assert by_name(found.benchmarks)["split-mnist"].missing == ("mnist",)


def _by_environment(folder, monkeypatch):
    monkeypatch.setenv("HYPERMNESIA_DATA", str(folder))
    return examine()


def test_a_format_that_the_device_cannot_do_has_no_rate(monkeypatch):
    rate_of = doctor.product_rate

    def no_bf16(m, k, n, dtype, device, **timing):
        if dtype == torch.bfloat16:
            raise RuntimeError("not on this machine")
        return rate_of(m, k, n, dtype, device, **timing)

    monkeypatch.setattr(doctor, "product_rate", no_bf16)
    rates = {rate.format: rate.per_second for rate in examine().rates if rate.device == "cpu"}
    assert rates.pop("bf16") is None
    assert set(rates) == {"float32"}
    assert rates["float32"] > 0


def test_the_memory_is_that_of_the_container(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(doctor, "_CGROUP_LIMIT", limit)
    limit.write_text("max\n")
    assert examine().memory.total > 1_000_000
    limit.write_text("1000000\n")
    assert examine().memory.total == 1_000_000
    monkeypatch.setattr(doctor, "_MEMINFO", tmp_path / "none")
    assert examine().memory.available is None
