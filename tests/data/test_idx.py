import gzip
import struct
import zlib
from pathlib import Path

import pytest
import torch
from data_files import idx_bytes, md5

from hypermnesia.data.datasets import read_idx
from hypermnesia.errors import DataError

ARRAY = torch.arange(24, dtype=torch.uint8).reshape(2, 4, 3)
CONTENT = idx_bytes(ARRAY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "images-idx3-ubyte"


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(24,), (6, 4), (2, 4, 3)])
def test_reads_what_was_written(path: Path, pack, shape) -> None:
    content = idx_bytes(ARRAY.reshape(shape))
    path.write_bytes(pack(content))
    read = read_idx(path, md5(content))
    assert read.dtype == torch.uint8
    assert torch.equal(read, ARRAY.reshape(shape))


@pytest.mark.parametrize("level", [1, 9])
def test_checksum_does_not_depend_on_compression(path: Path, level: int) -> None:
    path.write_bytes(gzip.compress(CONTENT, level, mtime=level))
    assert torch.equal(read_idx(path, md5(CONTENT)), ARRAY)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_shortened_file_is_refused(path: Path, pack) -> None:
    packed = pack(CONTENT)
    for length in range(len(packed)):
        path.write_bytes(packed[:length])
        with pytest.raises(DataError, match=r"images-idx3-ubyte.*fetch the official"):
            read_idx(path, md5(CONTENT))


@pytest.mark.parametrize("position", range(len(CONTENT)))
def test_every_flipped_bit_is_refused(path: Path, position: int) -> None:
    for bit in range(8):
        altered = bytearray(CONTENT)
        altered[position] ^= 1 << bit
        path.write_bytes(altered)
        with pytest.raises(DataError, match=r"images-idx3-ubyte.*fetch the official"):
            read_idx(path, md5(CONTENT))


def test_flipped_byte_inside_gzip_is_refused(path: Path) -> None:
    packed = gzip.compress(CONTENT)
    start = 10  # what precedes is gzip's own header, whose time stamp may be anything
    for position in range(start, len(packed)):
        altered = bytearray(packed)
        altered[position] ^= 0xFF
        path.write_bytes(altered)
        with pytest.raises(DataError, match="images-idx3-ubyte"):
            read_idx(path, md5(CONTENT))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_file_that_goes_on_is_refused(path: Path, pack) -> None:
    path.write_bytes(pack(CONTENT + b"\0"))
    with pytest.raises(DataError, match="not the 24 bytes"):
        read_idx(path, md5(CONTENT))


@pytest.mark.parametrize("shape", [(2**32 - 1,) * 3, (2**29, 1, 1), (0, 28, 28)])
def test_impossible_sizes_are_refused_before_allocation(path: Path, shape) -> None:
    content = b"\0\0\x08\x03" + struct.pack(">3I", *shape)
    path.write_bytes(content)
    with pytest.raises(DataError, match="a header that promises"):
        read_idx(path, md5(content))


def test_unreadable_deflate_data_is_refused(path: Path) -> None:
    path.write_bytes(gzip.compress(CONTENT)[:10] + zlib.compress(CONTENT))
    with pytest.raises(DataError, match="images-idx3-ubyte"):
        read_idx(path, md5(CONTENT))


def test_missing_file_is_a_data_error(path: Path) -> None:
    with pytest.raises(DataError, match="FileNotFoundError"):
        read_idx(path, md5(CONTENT))
