"""Where the files of a data set are: a folder the user names, or the cache, filled on demand."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pooch  # type: ignore[import-untyped]

from hypermnesia.errors import DataError

ENVIRONMENT = "HYPERMNESIA_DATA"
"""Name of the environment variable that names a folder of data files."""

OFFLINE_CURE = f"put the files into a folder and name it with --data-dir or {ENVIRONMENT}"
"""What to do where nothing can be downloaded."""

Fetch = Callable[[Path, tuple[str, ...]], None]
"""(folder, names of files that are missing there) -> None; puts them there."""


def given_folder(data_dir: Path | None) -> Path | None:
    """The folder that the user named: `data_dir`, else HYPERMNESIA_DATA, else None."""
    if data_dir is not None:
        return user_path(data_dir)
    named = os.environ.get(ENVIRONMENT)
    return user_path(named) if named else None


def user_path(typed: str | Path) -> Path:
    """Where `typed` is, `~` and links resolved as far as they lead anywhere."""
    return Path(os.path.realpath(os.path.expanduser(typed)))


def cache_folder() -> Path:
    """The user's cache folder for downloaded data sets."""
    return Path(pooch.os_cache("hypermnesia"))


@dataclass(frozen=True)
class FileSet:
    """The files that make a data set.

    Attributes:
        name: the data set, which is also its folder in the cache.
        folders: sub-folders in which the files may lie, besides the folder itself.
        files: names of the files, all needed.
        suffixes: what may follow a name: "" for the file itself, ".gz" for a compressed one.
    """

    name: str
    folders: tuple[str, ...]
    files: tuple[str, ...]
    suffixes: tuple[str, ...] = ("",)

    def locate(self, data_dir: Path | None, fetch: Fetch) -> tuple[Path, ...]:
        """Paths of the files, in order, fetched into the cache if the user named no folder.

        Args:
            data_dir: folder that holds them; None for HYPERMNESIA_DATA, else the cache.
            fetch: called with the cache folder and the names that are missing there.

        Raises:
            DataError: if a folder was named and a file is missing in it, or if `fetch` fails.
        """
        folder = self.folder(data_dir)
        missing = self.missing(folder)
        if missing and given_folder(data_dir) is None:
            fetch(folder, missing)
            missing = self.missing(folder)
        if missing:
            places = ", ".join(("it", *(f"{sub}/" for sub in self.folders)))
            raise DataError(
                f"the folder named for data must hold the files of {self.name}, in {places}",
                got=f"{folder} without {', '.join(missing)}",
                cure=f"add them, or unset --data-dir and {ENVIRONMENT} to download",
            )
        return tuple(path for name in self.files if (path := self._find(folder, name)))

    def folder(self, data_dir: Path | None) -> Path:
        """Where `locate` looks: the folder that the user named, or else the cache's own."""
        return given_folder(data_dir) or cache_folder() / self.name

    def missing(self, folder: Path) -> tuple[str, ...]:
        """Names of the files that are neither in `folder` nor in one of `folders` there."""
        return tuple(name for name in self.files if self._find(folder, name) is None)

    def cure(self, data_dir: Path | None) -> str:
        """What to do about a file that is not as published: it may be another data set's."""
        folder = given_folder(data_dir)
        if folder is None:
            return "delete it: the next run will fetch the official one"
        place = folder / self.folders[0]
        return f"it is no file of {self.name} as published: put the official one into {place}"

    def _find(self, folder: Path, name: str) -> Path | None:
        places = (*(folder / sub for sub in self.folders), folder)
        paths = (place / f"{name}{suffix}" for place in places for suffix in self.suffixes)
        return next((path for path in paths if os.path.isfile(path)), None)
