"""Folders of pages that are generated when the documents are built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_pages(folder: Path, pages: Mapping[str, str]) -> None:
    """Make `folder` contain exactly these Markdown `pages`, by name.

    An unchanged page keeps its modification time, and is not built again.
    """
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.md"):
        if path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)


def contents(pages: Mapping[str, str]) -> str:
    """Return a hidden table of contents with `pages`."""
    return "\n".join(["```{toctree}", ":hidden:", "", *pages, "```", ""])
