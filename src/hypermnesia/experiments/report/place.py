"""Where a report goes."""

from __future__ import annotations

from pathlib import Path

from hypermnesia.durable import make_folder, told_as_run_error, write_text
from hypermnesia.errors import ConfigError, RunError


def check_place(path: Path, *, overwrite: bool) -> None:
    """See to it that a report may be written to `path`.

    Raises:
        ConfigError: it is not called like a page; with `overwrite`, a slip could cost results.
        RunError: something is there already, and `overwrite` is not set.
    """
    if path.suffix != ".html":
        raise ConfigError("a report must be called .html", got=path, cure=f"write {path}.html")
    if path.is_dir() or (path.exists() and not overwrite):
        raise RunError(
            "a report replaces nothing unless told to",
            got=f"{path}, which exists",
            cure="choose another file with --out, or replace it with --overwrite",
        )


def write_page(path: Path, page: str) -> None:
    """Write `page` to `path` in one step, and the folders above it.

    Raises:
        RunError: it cannot be written.
    """
    with told_as_run_error(path.parent, "the folder of the report must be writable"):
        make_folder(path.parent)
    write_text(path, page)
