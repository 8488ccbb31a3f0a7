"""MNIST and data sets published in its shape: four IDX files of 28x28 grey images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hypermnesia.data.fetch import fetch
from hypermnesia.data.files import FileSet
from hypermnesia.data.idx import read_idx
from hypermnesia.data.images import ImageData

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""Names of the files: training images and labels, test images and labels."""


@dataclass(frozen=True)
class MnistLike:
    """A data set of four IDX files.

    Attributes:
        name: the data set.
        folders: sub-folders in which its files may lie.
        mirrors: addresses, each ending in "/", under which the compressed files can be had.
        md5: MD5 of the unpacked bytes of each of `FILES`.
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
        """The images, from `data_dir`, HYPERMNESIA_DATA or the cache; raises `DataError`."""
        paths = self.files.locate(data_dir, self._fetch)
        read = partial(read_idx, cure=self.files.cure(data_dir))
        train_x, train_y, test_x, test_y = map(read, paths, self.md5)
        return ImageData(
            train_x.unsqueeze(1), train_y.long(), test_x.unsqueeze(1), test_y.long(), 10, 255.0
        )

    def _fetch(self, folder: Path, missing: tuple[str, ...]) -> None:
        for name in missing:
            urls = tuple(f"{mirror}{name}.gz" for mirror in self.mirrors)
            md5 = self.md5[FILES.index(name)]
            fetch(urls, folder / f"{name}.gz", partial(read_idx, md5=md5))
