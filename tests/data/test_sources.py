import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from data_files import mnist_files, mnist_like, write_mnist

from hypermnesia.data.datasets import FILES, SOURCES, load
from hypermnesia.errors import ConfigError, DataError


def test_digits_are_split_the_same_way_every_time() -> None:
    first, second = load("digits"), load("digits")
    assert first.train_x.shape == (1442, 1, 8, 8)
    assert first.test_x.shape == (355, 1, 8, 8)
    assert first.scale == first.train_x.max() == 16
    assert torch.equal(first.train_x, second.train_x)
    assert torch.equal(first.test_y, second.test_y)


def test_every_fifth_digit_of_a_class_is_for_testing() -> None:
    data = load("digits")
    train, test = data.train_y.bincount(), data.test_y.bincount()
    assert torch.equal(test, (train + test) // 5)


def test_unknown_data_set_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'fashion-mnist'"):
        load("fashion-mnst")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("sub", ["", "tiny"])
@pytest.mark.parametrize("how", ["argument", "environment"])
def test_files_are_found(tmp_path, monkeypatch, compressed: bool, sub: str, how: str) -> None:
    write_mnist(tmp_path / sub, compressed=compressed)
    monkeypatch.setenv("HYPERMNESIA_DATA", str(tmp_path) if how == "environment" else "/nowhere")
    data = mnist_like().load(tmp_path if how == "argument" else None)
    raw = mnist_files()[FILES[0]][16:]
    assert data.train_x.shape == (12, 1, 4, 3)
    assert data.train_x.numpy().tobytes() == raw
    assert data.train_y.dtype == data.test_y.dtype == torch.int64


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named_and_not_downloaded(tmp_path, cache, mirror, name: str) -> None:
    write_mnist(tmp_path / "tiny")
    (tmp_path / "tiny" / name).unlink()
    with pytest.raises(DataError, match=rf"without {name}; add them, or unset --data-dir"):
        mnist_like((mirror.url,)).load(tmp_path)
    assert mirror.asked == []
    assert not cache.exists()


def test_folder_that_is_not_there_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no-such-folder without train-images"):
        mnist_like().load(tmp_path / "no-such-folder")


def test_another_sets_file_of_the_same_name_is_not_to_be_deleted(tmp_path: Path) -> None:
    other = replace(mnist_like(), name="other", folders=("other",), md5=("0" * 32,) * 4)
    write_mnist(tmp_path)
    with pytest.raises(DataError, match=r"no file of other as published.*into \S*/other$") as told:
        other.load(tmp_path)
    assert "delete" not in str(told.value)


def test_a_damaged_file_in_the_cache_may_be_deleted(cache: Path) -> None:
    write_mnist(cache / "tiny")
    (cache / "tiny" / FILES[0]).write_bytes(b"damaged")
    with pytest.raises(DataError, match=rf"{FILES[0]}.*delete it"):
        mnist_like().load(None)


OFFICIAL = {
    "mnist": ("mnist", (60_000, 1, 28, 28), (5421, 6742)),
    "fashion-mnist": ("fashion-mnist", (60_000, 1, 28, 28), (6000, 6000)),
    "cifar10": ("cifar-10-batches-bin", (50_000, 3, 32, 32), (5000, 5000)),
    "cifar100": ("cifar-100-binary", (50_000, 3, 32, 32), (500, 500)),
}


def official_folder(name: str) -> Path:
    """Where HYPERMNESIA_DATA holds the data set's official files, or skip."""
    root = os.environ.get("HYPERMNESIA_DATA")
    if not root:
        pytest.skip("HYPERMNESIA_DATA names no folder of official files")
    folder = Path(root) / OFFICIAL[name][0]
    if not folder.is_dir():
        pytest.skip(f"HYPERMNESIA_DATA holds no {OFFICIAL[name][0]}/")
    return folder


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_files_are_what_they_should_be(name: str) -> None:
    data = load(name, official_folder(name).parent)
    _, shape, (fewest, most) = OFFICIAL[name]
    counts = data.train_y.bincount()
    assert data.train_x.shape == shape
    assert data.test_x.shape == (10_000, *SOURCES[name].shape)
    assert len(counts) == data.num_classes == SOURCES[name].classes
    assert (int(counts.min()), int(counts.max())) == (fewest, most)


@pytest.mark.parametrize("damage", ["flip", "half"])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_damaged_official_file_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    source = official_folder(name)
    folder = tmp_path / source.name
    folder.mkdir()
    for path in source.iterdir():
        (folder / path.name).symlink_to(path)
    victim = next(path for path in sorted(folder.iterdir()) if path.name.startswith("t"))
    content = bytearray(victim.read_bytes())
    victim.unlink()
    if damage == "flip":
        content[len(content) // 2] ^= 1
    victim.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"{victim.name}.*put the official"):
        load(name, tmp_path)
