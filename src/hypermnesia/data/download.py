"""Locating the files of data sets, in a folder of the user's or in a cache filled on demand."""

from __future__ import annotations

import logging
import os
import shutil
import tarfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch  # type: ignore[import-untyped]

from hypermnesia.errors import DataError

ENVIRONMENT = "HYPERMNESIA_DATA"  #: variable with a folder of data files
_OFFLINE_HINT = f"put the files into a folder and name it with --data-dir or {ENVIRONMENT}"
Fetch = Callable[[Path, tuple[str, ...]], None]  #: downloads missing files by name into the folder


def given_folder(data_dir: Path | None) -> Path | None:
    """Return the folder that the user named: `data_dir`, else HYPERMNESIA_DATA, else None."""
    named = data_dir if data_dir is not None else os.environ.get(ENVIRONMENT)
    return user_path(named) if named else None


def user_path(typed: str | Path) -> Path:
    """Resolve `~` and links in a path."""
    return Path(os.path.realpath(os.path.expanduser(typed)))


def cache_folder() -> Path:
    """Return the user's cache folder for downloaded data sets."""
    return Path(pooch.os_cache("hypermnesia"))


@dataclass(frozen=True)
class FileSet:
    """The files of a data set.

    Attributes:
        name: the data set, and its folder in the cache.
        folders: sub-folders in which the files may be, besides the folder itself.
        files: names of the files, all required.
        suffixes: allowed after a name: "" for the file itself, ".gz" for a compressed one.
    """

    name: str
    folders: tuple[str, ...]
    files: tuple[str, ...]
    suffixes: tuple[str, ...] = ("",)

    def locate(self, data_dir: Path | None, fetch: Fetch) -> tuple[Path, ...]:
        """Return the files' paths, in order; `fetch` those of the cache, or raise `DataError`."""
        folder = self.folder(data_dir)
        if self.missing(folder) and given_folder(data_dir) is None:
            fetch(folder, self.missing(folder))
        if missing := self.missing(folder):
            places = ", ".join(("it", *(f"{sub}/" for sub in self.folders)))
            rule = f"the folder named for data must hold the files of {self.name}, in {places}"
            hint = f"add them, or unset --data-dir and {ENVIRONMENT} to download"
            raise DataError(rule, got=f"{folder} without {', '.join(missing)}", hint=hint)
        return tuple(path for name in self.files if (path := self._find(folder, name)))

    def folder(self, data_dir: Path | None) -> Path:
        """Return where `locate` looks: the user's folder, else the one in the cache."""
        return given_folder(data_dir) or cache_folder() / self.name

    def missing(self, folder: Path) -> tuple[str, ...]:
        """Return the names of files that are neither in `folder` nor in its `folders`."""
        return tuple(name for name in self.files if self._find(folder, name) is None)

    def hint(self, data_dir: Path | None) -> str:
        """Return what to do about a file that differs from the published one."""
        folder = given_folder(data_dir)
        if folder is None:
            return "delete it: the next run will fetch the official one"
        place = folder / self.folders[0]
        return f"it is no file of {self.name} as published: put the official one into {place}"

    def _find(self, folder: Path, name: str) -> Path | None:
        places = (*(folder / sub for sub in self.folders), folder)
        paths = (place / f"{name}{suffix}" for place in places for suffix in self.suffixes)
        return next((path for path in paths if os.path.isfile(path)), None)


_TIMEOUT = 30.0  # seconds without a byte, after which the next mirror is tried
_log = logging.getLogger(__name__)


def fetch(urls: Collection[str], path: Path, verify: Callable[[Path], object]) -> None:
    """Download `path` from the first of `urls` whose file passes `verify`.

    `path` is written in one step, once the file is complete and verified. Raises `DataError` if no
    mirror has the right file, or the folder cannot be written.
    """
    failures = []
    with scratch(path.parent) as folder:
        partial = Path(folder) / path.name
        for url in urls:
            _log.info("downloading %s", url)
            try:
                pooch.HTTPDownloader(timeout=_TIMEOUT)(url, str(partial), None)
                verify(partial)
            except (OSError, DataError) as error:  # all of requests' errors are OSErrors
                reason = getattr(error, "rule", None) or getattr(error, "strerror", None)
                failures.append(f"{url} ({reason or type(error).__name__})")
            else:
                os.replace(partial, path)
                return
    rule = f"one of the mirrors of {path.name} must give the right file"
    got, hint = ", ".join(failures), f"check the network, or {_OFFLINE_HINT}"
    raise DataError(rule, got=got, hint=hint)


def verify_md5(path: Path, md5: str) -> None:
    """Raise `DataError` unless the file at `path` has this MD5."""
    found = pooch.file_hash(str(path), alg="md5")
    if found != md5:
        rule, got = "a downloaded archive must have the official checksum", f"{path}: MD5 {found}"
        raise DataError(rule, got=f"{got}, not {md5}", hint="fetch it again")


def unpack(archive: Path, members: Collection[str], folder: Path) -> None:
    """Write the `members` of a tar archive into `folder`, under their base names.

    Only contents come from the archive, never paths or links: a hostile one can do no harm. Raises
    `DataError` if a member is missing or no regular file, or `folder` cannot be written.
    """
    try:
        with scratch(folder) as temporary, tarfile.open(archive) as tar:
            for member in members:
                source = tar.extractfile(member) if tar.getmember(member).isreg() else None
                if source is None:
                    raise tarfile.ExtractError(f"{member} is no plain file")
                partial = Path(temporary) / Path(member).name
                with source, partial.open("wb") as target:
                    shutil.copyfileobj(source, target)
                os.replace(partial, folder / partial.name)
    except (OSError, EOFError, tarfile.TarError, KeyError) as error:
        rule = "a downloaded archive must hold every file of the data set, and the cache have room"
        raise DataError(rule, got=f"{archive.name}: {error}", hint=_OFFLINE_HINT) from error


def scratch(folder: Path) -> TemporaryDirectory[str]:
    """Create a temporary folder inside `folder`, for a `with` block; may raise `DataError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix=".partial-", dir=folder)
    except OSError as error:
        rule, got = (
            "the cache folder for data must be writable",
            f"{folder}: {type(error).__name__}",
        )
        raise DataError(rule, got=got, hint=_OFFLINE_HINT) from error
