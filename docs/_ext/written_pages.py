"""Pages that are written when the documents are built: a folder of them, always up to date."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write_pages(folder: Path, pages: Mapping[str, str]) -> None:
    """Let `folder` hold these Markdown `pages`, by name, and no other.

    A page that is as it was keeps its time, and is not built again.
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
    """What makes `pages` the children of the page that says so."""
    return "\n".join(["```{toctree}", ":hidden:", "", *pages, "```", ""])
