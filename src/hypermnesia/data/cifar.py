"""CIFAR-10 and CIFAR-100 in their binary layout: records of label bytes and 3x32x32 pixels.

A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009. A record of CIFAR-10
is its class and 3072 pixels; one of CIFAR-100 is its superclass, its class and the pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hypermnesia.data.download import FileSet, fetch, scratch, unpack, verify_md5
from hypermnesia.data.types import ImageData
from hypermnesia.errors import DataError
from hypermnesia.storage import read_bounded, write_text

SHAPE = (3, 32, 32)
"""(channels, height, width) of an image."""

_PIXELS = 3 * 32 * 32
_HINT = "fetch the official ones again"
NOTE = "verified.sha256"
"""Name of the file with the digests of a verified archive."""


@dataclass(frozen=True)
class Split:
    """The training or the test files.

    Attributes:
        files: their names.
        records: number of records in each.
        digest: SHA-256 of the sorted SHA-256 of all records; None where it is not known.
    """

    files: tuple[str, ...]
    records: int
    digest: str | None


@dataclass(frozen=True)
class Cifar:
    """A data set of CIFAR records.

    Where no digest is known, unpacking an archive with the right MD5 writes the digests of its
    records beside the files, and every load checks them. Without these, files in a user's folder
    are unverified: only lengths, labels and class balance are checked.

    Attributes:
        name: the data set.
        folder: sub-folder in which its files may be, and the archive's only folder.
        label_classes: number of classes of each label byte; the last byte is the class.
        train: the training files.
        test: the test files.
        mirrors: addresses of the .tar.gz archive.
        md5: MD5 of the archive.
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
        noted = read_note(paths[0].parent / NOTE)
        train_x, train_y, train = read_split(paths[:cut], self.train, self.label_classes, hint)
        test_x, test_y, test = read_split(paths[cut:], self.test, self.label_classes, hint)
        if noted not in (None, (train, test)):
            raise _damaged(paths, f"other contents than {NOTE} beside them says", hint)
        return ImageData(train_x, train_y, test_x, test_y, self.label_classes[-1], 255.0)

    def _fetch(self, folder: Path, missing: tuple[str, ...]) -> None:  # noqa: ARG002
        """Unpack all files, existing ones too, as the digests are the archive's."""
        names, place = self.train.files + self.test.files, folder / self.folder
        with scratch(folder) as temporary:
            archive = Path(temporary) / f"{self.folder}.tar.gz"
            fetch(self.mirrors, archive, lambda path: verify_md5(path, self.md5))
            unpack(archive, [f"{self.folder}/{name}" for name in names], place)
        if self.train.digest is None or self.test.digest is None:
            digests = [
                read_split([place / name for name in split.files], split, self.label_classes)[2]
                for split in (self.train, self.test)
            ]
            write_text(place / NOTE, "\n".join(digests) + "\n")


def read_note(path: Path) -> tuple[str, str] | None:
    """Read the digests of a verified archive's training and test records; None without a file.

    Raises:
        DataError: if the file does not contain two digests.
    """
    if not path.is_file():
        return None
    try:
        lines = read_bounded(path, 1000).decode("ascii").split()
    except (OSError, ValueError):
        lines = []
    if len(lines) != 2:
        hint = "delete it together with the files beside it: the next run will fetch them"
        raise DataError("a note of digests must hold two", got=f"{path}: {len(lines)}", hint=hint)
    return lines[0], lines[1]


def read_split(
    paths: Sequence[Path], split: Split, label_classes: tuple[int, ...], hint: str = _HINT
) -> tuple[Tensor, Tensor, str]:
    """Read images (n, 3, 32, 32) uint8, classes (n,) int64 and the digest of one split.

    Records are sorted by their SHA-256, so that runs do not depend on the order in which a copy of
    the data set stores them.

    Raises:
        DataError: if a file has the wrong length, a label out of range, or altered contents.
    """
    width = len(label_classes) + _PIXELS
    records = torch.cat([_read_records(path, split.records, width, hint) for path in paths])
    labels = records[:, : len(label_classes)]
    if bool((labels >= torch.tensor(label_classes)).any()):
        raise _damaged(paths, f"a label that is none of {label_classes[-1]} classes", hint)
    counts = torch.bincount(labels[:, -1].long(), minlength=label_classes[-1])
    if counts.min() != counts.max():
        found = f"{counts.min()} to {counts.max()} images a class, not equally many"
        raise _damaged(paths, found, hint)
    digests = [hashlib.sha256(record).digest() for record in records.numpy()]
    order = sorted(range(len(digests)), key=digests.__getitem__)
    found = hashlib.sha256(b"".join(digests[row] for row in order)).hexdigest()
    if split.digest is not None and found != split.digest:
        raise _damaged(paths, f"contents with the digest {found}, not {split.digest}", hint)
    images = records[:, len(label_classes) :].index_select(0, torch.tensor(order))
    return images.reshape(-1, *SHAPE), labels[order, -1].long(), found


def _read_records(path: Path, count: int, width: int, hint: str) -> Tensor:
    """Read (count, width) uint8 records from a file of exactly that size."""
    try:
        size = path.stat().st_size
        if size != count * width:
            raise _damaged([path], f"{size} bytes, not {count * width}", hint)
        content = bytearray(path.read_bytes())
    except OSError as error:
        raise _damaged([path], f"{type(error).__name__}: {error}", hint) from error
    return torch.frombuffer(content, dtype=torch.uint8).reshape(count, width)


def _damaged(paths: Sequence[Path], found: str, hint: str) -> DataError:
    return DataError(
        "CIFAR files must be complete and unaltered",
        got=f"{', '.join(map(str, paths))}: {found}",
        hint=hint,
    )
