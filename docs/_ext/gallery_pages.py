"""The gallery: a page and a notebook for each program in examples/, and doors to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kept_examples import Example, gallery, runs
from sphinx.application import Sphinx
from written_pages import contents, write_pages

_FIGURES = (
    "Made by `python docs/figures/gallery.py {name}`: {seconds} seconds of one core of "
    "{machine}. Figures vary a little between machines."
)
_INDEX = (
    "# Gallery\n\n{count} programs on real data, each below 80 lines, with a picture at its end. "
    "Each page has the program to read, to download, and as a notebook. "
    "`python docs/figures/gallery.py` runs all of them and draws the pictures anew.\n"
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Write pages and notebooks before Sphinx reads them."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "gallery"
    pages = {example.name: _page(example) for example in gallery()}
    write_pages(folder, {**pages, "index": _index() + "\n" + contents(pages)})
    for example in gallery():
        (folder / f"{example.name}.ipynb").write_text(example.notebook(), "utf-8")


def _page(example: Example) -> str:
    run = runs()[example.name]
    parts = [
        text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in example.cells()
    ]
    more = " and {download}`models/efficientnet.py <../../examples/models/efficientnet.py>`"
    files = (
        f"Download it: {{download}}`{example.name}.py <../../examples/{example.name}.py>`, "
        f"{{download}}`{example.name}.ipynb`" + (more if "models." in parts[2] else "") + "."
    )
    parts.insert(1, files)
    made = _FIGURES.format(name=example.name, **{**runs()["about"], **run})
    picture = f":::{{picture}} gallery/{example.name}\n:alt: {example.alt}\n{made}\n:::"
    return (
        "\n\n".join([*parts, f"## What it prints\n\n```text\n{run['printed']}```", picture]) + "\n"
    )


def _index() -> str:
    examples = gallery()
    parts = [_INDEX.format(count=len(examples))]
    for group in dict.fromkeys(example.group for example in examples):
        doors = [_door(example) for example in examples if example.group == group]
        parts.append(f"## {group}\n\n::::{{container}} doors\n{''.join(doors)}::::\n")
    return "\n".join(parts)


def _door(example: Example) -> str:
    images = [
        f"```{{image}} /figures/gallery/{example.name}-{page}.svg\n:alt: {example.alt}\n"
        f":class: only-{page}\n:target: {example.name}.html\n```"
        for page in ("light", "dark")
    ]
    return (
        ":::{container} door\n"
        + "\n".join([*images, f"[{example.title}]({example.name}.md)"])
        + "\n:::\n"
    )
