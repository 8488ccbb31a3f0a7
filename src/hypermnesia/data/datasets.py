"""The data sets: their sources, files and checks.

IDX, the format of MNIST and Fashion-MNIST: two zero bytes, 0x08 for unsigned bytes, the number of
dimensions, each dimension in four bytes (big-endian), then the data (Y. LeCun, C. Cortes,
C. Burges, "The MNIST database").

CIFAR-10 and CIFAR-100 in their binary layout: records of label bytes and 3x32x32 pixels
(A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009). A record of CIFAR-10
is its class and 3072 pixels; one of CIFAR-100 is its superclass, its class and the pixels.

scikit-learn's handwritten digits: 1,797 grey images of 8x8 pixels, without a download (E. Alpaydin,
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, cast

import torch
from torch import Tensor

from hypermnesia.data.download import FileSet, fetch, scratch, unpack, verify_md5
from hypermnesia.data.types import ImageData
from hypermnesia.errors import DataError
from hypermnesia.registry import Registry
from hypermnesia.storage import read_bounded, write_text

_MAX_BYTES = 1 << 28  # five times the largest official file
_HINT = "fetch the official one again"


def _damaged(kind: str, paths: Sequence[Path], found: str, hint: str) -> DataError:
    rule, where = f"{kind} must be complete and unaltered", ", ".join(map(str, paths))
    return DataError(rule, got=f"{where}: {found}", hint=hint)


def read_idx(path: Path, md5: str, hint: str = _HINT) -> Tensor:
    """Read an IDX file, compressed or not, as a uint8 tensor of the shape that its header has.

    `md5` is of the uncompressed file; raises `DataError` if it is truncated, too long or altered.
    """
    try:
        with _open(path) as file:
            header, shape = _read_header(file)
            size = math.prod(shape)
            # One byte more than expected: detects a longer file, makes gzip check its checksum.
            payload = bytearray(file.read(size + 1))
        if len(payload) != size:
            raise ValueError(f"not the {size} bytes that its header promises")
        digest = hashlib.md5(header, usedforsecurity=False)
        digest.update(payload)
        if digest.hexdigest() != md5:
            raise ValueError(f"MD5 {digest.hexdigest()} unpacked, not the official {md5}")
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged("an IDX file", [path], f"{type(error).__name__}: {error}", hint) from error
    except ValueError as error:
        raise _damaged("an IDX file", [path], str(error), hint) from None
    return torch.frombuffer(payload, dtype=torch.uint8).reshape(shape)


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path, "rb")) if compressed else path.open("rb")


def _read_header(file: IO[bytes]) -> tuple[bytes, tuple[int, ...]]:
    """Read the header's bytes and the shape in it, with every bound checked."""
    magic = file.read(4)
    if len(magic) != 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 4:
        raise ValueError(f"a file that starts with bytes {magic.hex()}")
    sizes = file.read(4 * magic[3])
    if len(sizes) != 4 * magic[3]:
        raise ValueError("a file that ends inside its header")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    if not 1 <= math.prod(shape) <= _MAX_BYTES:
        raise ValueError(f"a header that promises an array of {shape}")
    return magic + sizes, shape


def load_digits(data_dir: Path | None = None) -> ImageData:  # noqa: ARG001 - they are in scikit-learn
    """Load the digits; every fifth of a class, always the same 355, is a test image."""
    from sklearn import datasets  # type: ignore[import-untyped]  # takes a second

    bunch = datasets.load_digits()
    x = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    y = torch.from_numpy(bunch.target).long()
    position = torch.zeros_like(y)
    for label in range(10):
        position[y == label] = torch.arange(int((y == label).sum()))
    test = position % 5 == 4
    return ImageData(x[~test], y[~test], x[test], y[test], 10, 16.0)


FILES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)
"""Training images and labels, test images and labels."""


@dataclass(frozen=True)
class MnistLike:
    """A data set of four IDX files, in one of the `folders` or compressed below the `mirrors`.

    `md5` is of the uncompressed bytes of each of `FILES`.
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
        train, test = (train_x.unsqueeze(1), train_y.long()), (test_x.unsqueeze(1), test_y.long())
        return ImageData(*train, *test, 10, 255.0)

    def _fetch(self, folder: Path, missing: tuple[str, ...]) -> None:
        for name in missing:
            urls = [f"{mirror}{name}.gz" for mirror in self.mirrors]
            verify = partial(read_idx, md5=self.md5[FILES.index(name)])
            fetch(urls, folder / f"{name}.gz", verify)


SHAPE = (3, 32, 32)  #: (channels, height, width) of an image
NOTE = "verified.sha256"  #: name of the file with the digests of a verified archive
_CIFAR = "CIFAR files"


@dataclass(frozen=True)
class Split:
    """The training or the test files of CIFAR, with so many records each.

    `digest` is the SHA-256 of the sorted SHA-256 of all records; None where it is not known.
    """

    files: tuple[str, ...]
    records: int
    digest: str | None


@dataclass(frozen=True)
class Cifar:
    """A data set of CIFAR records.

    Where no digest is known, unpacking an archive with the right MD5 writes those of its records
    beside the files, and every load checks them. Without these, files in a user's folder are
    unverified: only lengths, labels and class balance are checked.

    Attributes:
        folder: sub-folder in which its files may be, and the archive's only folder.
        label_classes: number of classes of each label byte; the last byte is the class.
    """

    name: str
    folder: str
    label_classes: tuple[int, ...]
    train: Split
    test: Split
    mirrors: tuple[str, ...]
    md5: str

    @property
    def files(self) -> FileSet:
        """Its training and its test files."""
        return FileSet(self.name, (self.folder,), self.train.files + self.test.files)

    def load(self, data_dir: Path | None) -> ImageData:
        """Load the images from `data_dir`, HYPERMNESIA_DATA or the cache; may raise `DataError`."""
        paths, hint = self.files.locate(data_dir, self._fetch), self.files.hint(data_dir)
        cut = len(self.train.files)
        note = read_note(paths[0].parent / NOTE)
        train_x, train_y, train = read_split(paths[:cut], self.train, self.label_classes, hint)
        test_x, test_y, test = read_split(paths[cut:], self.test, self.label_classes, hint)
        if note not in (None, (train, test)):
            raise _damaged(_CIFAR, paths, f"other contents than {NOTE} beside them says", hint)
        return ImageData(train_x, train_y, test_x, test_y, self.label_classes[-1], 255.0)

    def _fetch(self, folder: Path, missing: tuple[str, ...]) -> None:  # noqa: ARG002
        """Unpack all files, existing ones too, as the digests are the archive's."""
        names, place = self.train.files + self.test.files, folder / self.folder
        with scratch(folder) as temporary:
            archive = Path(temporary) / f"{self.folder}.tar.gz"
            fetch(self.mirrors, archive, lambda path: verify_md5(path, self.md5))
            unpack(archive, [f"{self.folder}/{name}" for name in names], place)
        if self.train.digest is None or self.test.digest is None:
            splits, classes = (self.train, self.test), self.label_classes
            paths = ([place / name for name in split.files] for split in splits)
            digests = [read_split(p, s, classes)[2] for p, s in zip(paths, splits, strict=True)]
            write_text(place / NOTE, "\n".join(digests) + "\n")


def read_note(path: Path) -> tuple[str, str] | None:
    """Read the digests of training and test records, None without a file; may raise `DataError`."""
    if not path.is_file():
        return None
    lines: list[str] = []
    with suppress(OSError, ValueError):
        lines = read_bounded(path, 1000).decode("ascii").split()
    if len(lines) != 2:
        hint = "delete it together with the files beside it: the next run will fetch them"
        raise DataError("a note of digests must hold two", got=f"{path}: {len(lines)}", hint=hint)
    return lines[0], lines[1]


def read_split(
    paths: Sequence[Path], split: Split, label_classes: tuple[int, ...], hint: str = _HINT
) -> tuple[Tensor, Tensor, str]:
    """Read images (n, 3, 32, 32) uint8, classes (n,) int64 and the digest of one split.

    Records are sorted by their SHA-256, as copies of the data set may store them in other orders.
    Raises `DataError` if a file has the wrong length, a label out of range, or altered contents.
    """
    width = len(label_classes) + math.prod(SHAPE)
    records = torch.cat([_read_records(path, split.records, width, hint) for path in paths])
    labels, classes = records[:, : len(label_classes)], label_classes[-1]
    if bool((labels >= torch.tensor(label_classes)).any()):
        raise _damaged(_CIFAR, paths, f"a label that is none of {classes} classes", hint)
    counts = torch.bincount(labels[:, -1].long(), minlength=classes)
    if counts.min() != counts.max():
        found = f"{counts.min()} to {counts.max()} images a class, not equally many"
        raise _damaged(_CIFAR, paths, found, hint)
    digests = [hashlib.sha256(record).digest() for record in records.numpy()]
    order = sorted(range(len(digests)), key=digests.__getitem__)
    found = hashlib.sha256(b"".join(digests[row] for row in order)).hexdigest()
    if split.digest not in (None, found):
        found = f"contents with the digest {found}, not {split.digest}"
        raise _damaged(_CIFAR, paths, found, hint)
    images = records[:, len(label_classes) :].index_select(0, torch.tensor(order))
    return images.reshape(-1, *SHAPE), labels[order, -1].long(), found


def _read_records(path: Path, count: int, width: int, hint: str) -> Tensor:
    """Read (count, width) uint8 records from a file of exactly that size."""
    try:
        size = path.stat().st_size
        if size != count * width:
            raise _damaged(_CIFAR, [path], f"{size} bytes, not {count * width}", hint)
        content = bytearray(path.read_bytes())
    except OSError as error:
        raise _damaged(_CIFAR, [path], f"{type(error).__name__}: {error}", hint) from error
    return torch.frombuffer(content, dtype=torch.uint8).reshape(count, width)


@dataclass(frozen=True)
class Source:
    """A data set, described without loading it.

    Attributes:
        shape: (channels, height, width) of an image.
        load: loads it from a folder; None for HYPERMNESIA_DATA, else the cache.
        files: its files; None where it comes with a library.
    """

    description: str
    reference: str
    shape: tuple[int, int, int]
    classes: int
    load: Callable[[Path | None], ImageData]
    files: FileSet | None = None


SOURCES: Registry[Source] = Registry("data set")  #: readers of data sets, by name


def load(name: str, data_dir: Path | None = None) -> ImageData:
    """Load and verify a data set of `SOURCES`; may raise `DataError`.

    Its files are in `data_dir` or a sub-folder named after the data set. None stands for the folder
    in HYPERMNESIA_DATA, else for the user's cache, into which missing files are downloaded.
    """
    return SOURCES[name].load(data_dir)


_DIGITS = "1,797 handwritten digits, 8x8 grey, inside scikit-learn"
SOURCES.add("digits", Source(_DIGITS, "Alpaydin & Kaynak 1998", (1, 8, 8), 10, load_digits))


def _add(data: MnistLike | Cifar, description: str, reference: str) -> None:
    shape, classes = (1, 28, 28), 10
    if isinstance(data, Cifar):
        shape, classes = SHAPE, data.label_classes[-1]
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
            *("6bbc9ace898e44ae57da46a324031adb", "a25bea736e30d166cdddb491f175f624"),
            *("2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"),
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
            *("f4a8712d7a061bf5bd6d2ca38dc4d50a", "9018921c3c673c538a1fc5bad174d6f9"),
            *("8181f5470baa50b63fa0f6fddb340f0a", "15d484375f8d13e6eb1aabb0c3f46965"),
        ),
    ),
    "70,000 images of clothes, 28x28 grey",
    "Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747",
)
_CIFAR_MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/",
)
_TRAIN10 = "55a61f79a40ece2ceda9fb5f9f7078f6ea2fc4952489cef56682bcf92cfcc260"
_TEST10 = "325704b01eb92e1e2a6215ae6a916bb7db7de054af0c496be1c7be2e0fcfbf5f"
_add(
    Cifar(
        "cifar10",
        folder="cifar-10-batches-bin",
        label_classes=(10,),
        train=Split(tuple(f"data_batch_{i}.bin" for i in range(1, 6)), 10_000, _TRAIN10),
        test=Split(("test_batch.bin",), 10_000, _TEST10),
        mirrors=tuple(f"{mirror}cifar-10-binary.tar.gz" for mirror in _CIFAR_MIRRORS),
        md5="c32a1d4ab5d03f1284b67883e8d87530",
    ),
    "60,000 photographs, 32x32 colour",
    "Krizhevsky 2009",
)
# The digests of CIFAR-100's splits are not known yet.
_add(
    Cifar(
        "cifar100",
        folder="cifar-100-binary",
        label_classes=(20, 100),
        train=Split(("train.bin",), 50_000, None),
        test=Split(("test.bin",), 10_000, None),
        mirrors=tuple(f"{mirror}cifar-100-binary.tar.gz" for mirror in _CIFAR_MIRRORS),
        md5="03b5dce01913d631647c71ecec9e9cb8",
    ),
    "60,000 photographs in 100 classes, 32x32 colour",
    "Krizhevsky 2009",
)
