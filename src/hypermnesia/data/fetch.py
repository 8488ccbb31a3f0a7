"""Downloads: several mirrors in order, a check before a file counts, nothing half-written."""

from __future__ import annotations

import logging
import os
import shutil
import tarfile
from collections.abc import Callable, Collection
from pathlib import Path
from tempfile import TemporaryDirectory

import pooch  # type: ignore[import-untyped]

from hypermnesia.data.files import OFFLINE_CURE
from hypermnesia.errors import DataError

_TIMEOUT = 30.0  # seconds without a byte, after which the next mirror is tried
_log = logging.getLogger(__name__)


def fetch(urls: Collection[str], path: Path, verify: Callable[[Path], object]) -> None:
    """Download `path` from the first of `urls` whose file passes `verify`.

    Args:
        urls: mirrors of the file, tried in order.
        path: where the file goes, in one step, once it is complete and verified.
        verify: raises `DataError` for a file that is not the right one.

    Raises:
        DataError: if no mirror gave the right file, or the folder cannot be written.
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
                failures.append(f"{url} ({_reason(error)})")
            else:
                os.replace(partial, path)
                return
    raise DataError(
        f"one of the mirrors of {path.name} must give the right file",
        got=", ".join(failures),
        cure=f"check the network, or {OFFLINE_CURE}",
    )


def _reason(error: OSError | DataError) -> str:
    if isinstance(error, DataError):
        return error.rule
    return error.strerror or type(error).__name__


def verify_md5(path: Path, md5: str) -> None:
    """Raise `DataError` unless the file at `path` has this MD5."""
    found = pooch.file_hash(str(path), alg="md5")
    if found != md5:
        raise DataError(
            "a downloaded archive must have the official checksum",
            got=f"{path}: MD5 {found}, not {md5}",
            cure="fetch it again",
        )


def unpack(archive: Path, members: Collection[str], folder: Path) -> None:
    """Write the `members` of a tar archive into `folder`, under their base names.

    The archive decides about contents only: which files are written, and where, is decided here,
    so that neither a strange path nor a link in it can do harm.

    Raises:
        DataError: if a member is missing or no plain file, or if `folder` cannot be written.
    """
    try:
        with scratch(folder) as temporary, tarfile.open(archive) as tar:
            for member in members:
                partial = Path(temporary) / Path(member).name
                _write_member(tar, member, partial)
                os.replace(partial, folder / partial.name)
    except (OSError, EOFError, tarfile.TarError, KeyError) as error:
        raise DataError(
            "a downloaded archive must hold every file of the data set, and the cache have room",
            got=f"{archive.name}: {error}",
            cure=OFFLINE_CURE,
        ) from error


def _write_member(tar: tarfile.TarFile, member: str, path: Path) -> None:
    source = tar.extractfile(member) if tar.getmember(member).isreg() else None
    if source is None:
        raise tarfile.ExtractError(f"{member} is no plain file")
    with source, path.open("wb") as target:
        shutil.copyfileobj(source, target)


def scratch(folder: Path) -> TemporaryDirectory[str]:
    """A temporary folder inside `folder` (made if need be), gone after its `with` block.

    Raises:
        DataError: if `folder` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix=".partial-", dir=folder)
    except OSError as error:
        raise DataError(
            "the cache folder for data must be writable",
            got=f"{folder}: {type(error).__name__}",
            cure=OFFLINE_CURE,
        ) from error
