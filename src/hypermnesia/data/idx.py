"""IDX files, the format of MNIST and Fashion-MNIST: a header of sizes, then unsigned bytes.

Header, big-endian: two zero bytes, 0x08 for unsigned bytes, the number of dimensions, then each
dimension in four bytes. Y. LeCun, C. Cortes, C. Burges, "The MNIST database".
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import torch
from torch import Tensor

from hypermnesia.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"
_MAX_DIMENSIONS = 4
_MAX_BYTES = 1 << 28  # five times the largest official file
_CURE = "fetch the official one again"


def read_idx(path: Path, md5: str, cure: str = _CURE) -> Tensor:
    """The array in an IDX file of unsigned bytes, gzip-compressed or not.

    Args:
        path: the file.
        md5: expected MD5 of the unpacked file, so that how it was compressed does not matter.
        cure: what the user can do about a wrong file.

    Returns:
        uint8 tensor of the shape that the file's header names.

    Raises:
        DataError: if the file cannot be read, is truncated, too long or altered.
    """
    try:
        shape, payload = _read(path, md5)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}", cure) from error
    except ValueError as error:
        raise _damaged(path, str(error), cure) from None
    return torch.frombuffer(payload, dtype=torch.uint8).reshape(shape)


def _read(path: Path, md5: str) -> tuple[tuple[int, ...], bytearray]:
    """Shape and contents; what is wrong with them is a `ValueError`."""
    with _open(path) as file:
        header, shape = _read_header(file)
        size = math.prod(shape)
        # One byte more than is due: it shows a file that goes on, and has gzip check its end.
        payload = bytearray(file.read(size + 1))
    if len(payload) != size:
        raise ValueError(f"not the {size} bytes that its header promises")
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(payload)
    if digest.hexdigest() != md5:
        raise ValueError(f"MD5 {digest.hexdigest()} unpacked, not the official {md5}")
    return shape, payload


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
    return cast(IO[bytes], gzip.open(path, "rb")) if compressed else path.open("rb")


def _read_header(file: IO[bytes]) -> tuple[bytes, tuple[int, ...]]:
    """The header's bytes and the shape in it, every bound checked."""
    magic = file.read(4)
    if len(magic) != 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= _MAX_DIMENSIONS:
        raise ValueError(f"a file that starts with bytes {magic.hex()}")
    sizes = file.read(4 * magic[3])
    if len(sizes) != 4 * magic[3]:
        raise ValueError("a file that ends inside its header")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    if not 1 <= math.prod(shape) <= _MAX_BYTES:
        raise ValueError(f"a header that promises an array of {shape}")
    return magic + sizes, shape


def _damaged(path: Path, found: str, cure: str) -> DataError:
    return DataError(
        "an IDX file must be complete and unaltered",
        got=f"{path}: {found}",
        cure=cure,
    )
