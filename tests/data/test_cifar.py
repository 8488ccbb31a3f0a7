from dataclasses import replace
from pathlib import Path

import pytest
import torch
from data_files import PIXELS, cifar_files, cifar_records, cifar_set, write_cifar

from hypermnesia.errors import DataError

LAYOUTS = pytest.mark.parametrize("label_classes", [(10,), (2, 10)], ids=["cifar10", "cifar100"])


@LAYOUTS
def test_reads_pixels_and_the_finest_label(tmp_path: Path, label_classes) -> None:
    write_cifar(tmp_path, label_classes)
    data = cifar_set(label_classes).load(tmp_path)
    expected = {
        record[len(label_classes) :]: record[len(label_classes) - 1]
        for record in (cifar_records(20, label_classes, 1))
    }
    assert data.train_x.shape == (20, 3, 32, 32)
    assert data.test_x.shape == (10, 3, 32, 32)
    assert data.train_x.dtype == torch.uint8
    assert data.num_classes == 10
    found = {x.numpy().tobytes(): int(y) for x, y in zip(data.train_x, data.train_y, strict=True)}
    assert found == expected


def test_pixel_planes_are_red_green_blue_row_by_row(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    record = cifar_files()["test.bin"][: 1 + PIXELS]
    data = cifar_set().load(tmp_path)
    [row] = [i for i in range(10) if data.test_x[i].numpy().tobytes() == record[1:]]
    channel, y, x = 2, 5, 7
    assert int(data.test_x[row, channel, y, x]) == record[1 + channel * 1024 + y * 32 + x]


def test_order_of_records_in_files_does_not_matter(tmp_path: Path) -> None:
    write_cifar(tmp_path / "one")
    write_cifar(tmp_path / "two")
    records = cifar_records(20, (10,), 1)
    records = records[1::2] + records[-2::-2]
    (tmp_path / "two" / "a.bin").write_bytes(b"".join(records[:10]))
    (tmp_path / "two" / "b.bin").write_bytes(b"".join(records[10:]))
    one, two = cifar_set().load(tmp_path / "one"), cifar_set().load(tmp_path / "two")
    assert torch.equal(one.train_x, two.train_x)
    assert torch.equal(one.train_y, two.train_y)


@LAYOUTS
@pytest.mark.parametrize("name", ["a.bin", "b.bin", "test.bin"])
@pytest.mark.parametrize("position", [1, 2, 3000, -1])
def test_flipped_byte_is_refused(tmp_path: Path, label_classes, name: str, position: int) -> None:
    write_cifar(tmp_path, label_classes)
    content = bytearray((tmp_path / name).read_bytes())
    content[position] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}.*put the official"):
        cifar_set(label_classes).load(tmp_path)


@pytest.mark.parametrize("keep", [0, 5 * (1 + PIXELS), 10 * (1 + PIXELS) - 1])
def test_half_file_is_refused(tmp_path: Path, keep: int) -> None:
    write_cifar(tmp_path)
    content = (tmp_path / "b.bin").read_bytes()
    (tmp_path / "b.bin").write_bytes(content[:keep])
    with pytest.raises(DataError, match=rf"b.bin: {keep} bytes, not {len(content)}"):
        cifar_set().load(tmp_path)


@LAYOUTS
@pytest.mark.parametrize("byte", [0, 1])
def test_label_out_of_range_is_refused_without_any_digest(
    tmp_path: Path, label_classes, byte: int
) -> None:
    byte = min(byte, len(label_classes) - 1)
    write_cifar(tmp_path, label_classes)
    content = bytearray((tmp_path / "test.bin").read_bytes())
    content[byte] = label_classes[byte]
    (tmp_path / "test.bin").write_bytes(content)
    data = cifar_set(label_classes)
    data = replace(data, test=replace(data.test, digest=None))
    with pytest.raises(DataError, match=r"test.bin: a label that is none"):
        data.load(tmp_path)


def test_unequal_classes_are_refused_without_any_digest(tmp_path: Path) -> None:
    write_cifar(tmp_path)
    content = bytearray((tmp_path / "test.bin").read_bytes())
    content[0] = 1
    (tmp_path / "test.bin").write_bytes(content)
    data = cifar_set()
    data = replace(data, test=replace(data.test, digest=None))
    with pytest.raises(DataError, match=r"0 to 2 images a class"):
        data.load(tmp_path)
