"""The data sets: their sources, files and checks.

IDX, the format of MNIST and Fashion-MNIST: two zero bytes, 0x08 for unsigned bytes, the number of
dimensions, each dimension in four bytes (big-endian), then the data (Y. LeCun, C. Cortes,
C. Burges, "The MNIST database").

scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels, without a download (E. Alpaydin,
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

import torch
from torch import Tensor

from hypermnesia.data.cifar import SHAPE, Cifar, Split
from hypermnesia.data.download import FileSet, fetch
from hypermnesia.data.types import ImageData
from hypermnesia.errors import DataError
from hypermnesia.registry import Registry

_GZIP_MAGIC = b"\x1f\x8b"
_MAX_DIMENSIONS = 4
_MAX_BYTES = 1 << 28  # five times the largest official file
_HINT = "fetch the official one again"


def read_idx(path: Path, md5: str, hint: str = _HINT) -> Tensor:
    """Read an IDX file of unsigned bytes, gzip-compressed or not.

    Args:
        path: the file.
        md5: expected MD5 of the uncompressed file.
        hint: what the user can do about a wrong file.

    Returns:
        uint8 tensor of the shape in the header.

    Raises:
        DataError: if the file cannot be read, is truncated, too long or altered.
    """
    try:
        shape, payload = _read(path, md5)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}", hint) from error
    except ValueError as error:
        raise _damaged(path, str(error), hint) from None
    return torch.frombuffer(payload, dtype=torch.uint8).reshape(shape)


def _read(path: Path, md5: str) -> tuple[tuple[int, ...], bytearray]:
    """Read shape and contents; raise `ValueError` if they are wrong."""
    with _open(path) as file:
        header, shape = _read_header(file)
        size = math.prod(shape)
        # One byte more than expected: detects a longer file, and makes gzip check its checksum.
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
    """Read the header's bytes and the shape in it, with every bound checked."""
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


def _damaged(path: Path, found: str, hint: str) -> DataError:
    return DataError(
        "an IDX file must be complete and unaltered",
        got=f"{path}: {found}",
        hint=hint,
    )


TEST_EVERY = 5
"""Every fifth image of a class, in the order of the file, is a test image."""


def load_digits(data_dir: Path | None = None) -> ImageData:  # noqa: ARG001 - the images are inside scikit-learn
    """Load the digits, always with the same 1,442 training and 355 test images."""
    from sklearn import datasets  # type: ignore[import-untyped]  # takes a second

    bunch = datasets.load_digits()
    x = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    y = torch.from_numpy(bunch.target).long()
    position = torch.zeros_like(y)
    for label in range(10):
        mask = y == label
        position[mask] = torch.arange(int(mask.sum()))
    test = position % TEST_EVERY == TEST_EVERY - 1
    return ImageData(x[~test], y[~test], x[test], y[test], 10, 16.0)


FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""Training images and labels, test images and labels."""


@dataclass(frozen=True)
class MnistLike:
    """A data set of four IDX files.

    Attributes:
        name: the data set.
        folders: sub-folders in which its files may be.
        mirrors: addresses, each ending in "/", of the compressed files.
        md5: MD5 of the uncompressed bytes of each of `FILES`.
    """

    name: str
    folders: tuple[str, ...]
    mirrors: tuple[str, ...]
    md5: tuple[str, str, str, str]

    @property
    def files(self) -> FileSet:
        """Its files, compressed or not."""
        return FileSet(self.name, self.folders, FILES, suffixes=("", ".gz"))

    def load(self, data_dir: Path | None) -> ImageData:
        """Load the images from `data_dir`, HYPERMNESIA_DATA or the cache; may raise `DataError`."""
        paths = self.files.locate(data_dir, self._fetch)
        read = partial(read_idx, hint=self.files.hint(data_dir))
        train_x, train_y, test_x, test_y = map(read, paths, self.md5)
        return ImageData(
            train_x.unsqueeze(1), train_y.long(), test_x.unsqueeze(1), test_y.long(), 10, 255.0
        )

    def _fetch(self, folder: Path, missing: tuple[str, ...]) -> None:
        for name in missing:
            urls = tuple(f"{mirror}{name}.gz" for mirror in self.mirrors)
            md5 = self.md5[FILES.index(name)]
            fetch(urls, folder / f"{name}.gz", partial(read_idx, md5=md5))


@dataclass(frozen=True)
class Source:
    """A data set, described without loading it.

    Attributes:
        description: one line for a list of data sets.
        reference: where it was published.
        shape: (channels, height, width) of an image.
        classes: number of classes.
        load: loads it from a folder; None for HYPERMNESIA_DATA, else the cache.
        files: its files; None where it comes with a library.
    """

    description: str
    reference: str
    shape: tuple[int, int, int]
    classes: int
    load: Callable[[Path | None], ImageData]
    files: FileSet | None = None


SOURCES: Registry[Source] = Registry("data set")
"""Every data set, by name."""


def load(name: str, data_dir: Path | None = None) -> ImageData:
    """Load and verify a data set.

    Args:
        name: one of `SOURCES`.
        data_dir: folder of the files, or of a sub-folder named after the data set. None for the
            folder in HYPERMNESIA_DATA, else for the user's cache, into which missing files are
            downloaded.

    Raises:
        ConfigError: if there is no such data set.
        DataError: if a file is missing, damaged or cannot be downloaded.
    """
    return SOURCES[name].load(data_dir)


SOURCES.add(
    "digits",
    Source(
        "1,797 handwritten digits, 8x8 grey, inside scikit-learn",
        "Alpaydin & Kaynak 1998",
        (1, 8, 8),
        10,
        load_digits,
    ),
)


def _add(data: MnistLike | Cifar, description: str, reference: str, classes: int = 10) -> None:
    shape = SHAPE if isinstance(data, Cifar) else (1, 28, 28)
    SOURCES.add(data.name, Source(description, reference, shape, classes, data.load, data.files))


_add(
    MnistLike(
        "mnist",
        folders=("mnist", "MNIST/raw", "MNIST"),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        md5=(
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    "70,000 handwritten digits, 28x28 grey",
    "LeCun et al. 1998",
)
_add(
    MnistLike(
        "fashion-mnist",
        folders=("fashion-mnist", "FashionMNIST/raw", "fashion"),
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        md5=(
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    ),
    "70,000 images of clothes, 28x28 grey",
    "Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747",
)
_add(
    Cifar(
        "cifar10",
        folder="cifar-10-batches-bin",
        label_classes=(10,),
        train=Split(
            tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
            10_000,
            "55a61f79a40ece2ceda9fb5f9f7078f6ea2fc4952489cef56682bcf92cfcc260",
        ),
        test=Split(
            ("test_batch.bin",),
            10_000,
            "325704b01eb92e1e2a6215ae6a916bb7db7de054af0c496be1c7be2e0fcfbf5f",
        ),
        mirrors=(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/"
            "cifar-10-binary.tar.gz",
        ),
        md5="c32a1d4ab5d03f1284b67883e8d87530",
    ),
    "60,000 photographs, 32x32 colour",
    "Krizhevsky 2009",
)
# The digests of CIFAR-100's splits are not known yet: a download is verified by the archive's MD5
# and then by the digests written beside the files; files in a user's folder are unverified.
_add(
    Cifar(
        "cifar100",
        folder="cifar-100-binary",
        label_classes=(20, 100),
        train=Split(("train.bin",), 50_000, None),
        test=Split(("test.bin",), 10_000, None),
        mirrors=(
            "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
            "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/"
            "cifar-100-binary.tar.gz",
        ),
        md5="03b5dce01913d631647c71ecec9e9cb8",
    ),
    "60,000 photographs in 100 classes, 32x32 colour",
    "Krizhevsky 2009",
    classes=100,
)
