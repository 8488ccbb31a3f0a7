"""A page for each method, generated from the registry, the code and the recipes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import Any

import yaml
from method_results import results
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from written_pages import contents, write_pages

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.experiments.resolve import explain
from hypermnesia.methods import METHODS, HypernetWith, MethodEntry
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.regularization.step import HypernetTrainer

_SOURCE = Path(__file__).parents[2]
_SHARED = (
    "hypermnesia.methods.base",
    "hypermnesia.evidence.autoencoders",
)  # protocols of all methods
_SETTINGS, _DIFFERS = "Settings on", "Where the"
_MADE_OF = (
    "hypermnesia.methods",
    "hypermnesia.evidence",
    "hypermnesia.hypernet",
    "hypermnesia.vae",
)


@dataclass(frozen=True)
class Link:
    """Where a class or function is defined.

    Attributes:
        name: of the class or function.
        file: its file, from the root of the source.
        lines: its first and its last line.
        page: its highlighted source, from the root of the documents.
    """

    name: str
    file: str
    lines: tuple[int, int]
    page: str

    def markdown(self) -> str:
        """A line of a list."""
        where = f"{self.file}, lines {self.lines[0]} to {self.lines[1]}"
        return f'- <a href="../{self.page}#{self.name}"><code>{self.name}</code></a>: {where}'


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx reads them, and check their links after the build."""
    app.connect("builder-inited", _write)
    app.connect("build-finished", _follow)
    return {"parallel_read_safe": True}


def _write(app: Sphinx) -> None:
    pages = {name: _page(METHODS[name]) for name in METHODS}
    rows = [
        f"| [`{name}`]({name}.md) | {METHODS[name].summary} | {METHODS[name].source} |"
        for name in METHODS
    ]
    table = "\n".join(["| method | what it is | source |", "|---|---|---|", *rows])
    index = f"# Methods\n\n{table}\n\n"
    write_pages(Path(app.srcdir) / "methods", {**pages, "index": index + contents(pages)})


def _page(entry: MethodEntry) -> str:
    first, *others = BENCHMARKS
    parts = [f"# `{entry.name}`", f"{entry.summary[0].upper()}{entry.summary[1:]}."]
    parts += [_part(heading, text) for heading, text in explain(entry.name, first).parts]
    for benchmark in others:
        of_both = explain(entry.name, benchmark).parts
        of_recipe = dropwhile(lambda part: not part[0].startswith(_SETTINGS), of_both)
        parts += [_part(heading, text) for heading, text in of_recipe]
    parts += ["## Results", results(entry.name)]
    parts += ["## In the code", "\n".join(link.markdown() for link in links(entry))]
    return "\n\n".join(parts) + "\n"


def _part(heading: str, text: str) -> str:
    if heading.startswith("Source of"):
        return f"From: {text}"
    if heading.startswith((_SETTINGS, _DIFFERS)):
        text = f"```yaml\n{_narrow(text)}```"
    elif heading == "Equations":
        text = f"```text\n{text}\n```"
    level = "###" if heading.startswith(_DIFFERS) else "##"
    return f"{level} {heading}\n\n{text}"


def _narrow(settings: str) -> str:
    """Format settings in lines that fit a page."""
    fields = yaml.safe_load(settings)
    return str(yaml.safe_dump(fields, default_flow_style=None, sort_keys=False, width=76))


def links(entry: MethodEntry) -> Iterator[Link]:
    """Link to what builds the method, and to the classes it uses."""
    built: Any = entry.documented
    bases = inspect.getmro(built)[1:] if inspect.isclass(built) else ()
    module = inspect.getmodule(built)
    used = [v for v in vars(module).values() if inspect.isclass(v) and "forward" not in vars(v)]
    hypernet = [HypernetMethod, HypernetTrainer] if isinstance(entry.build, HypernetWith) else []
    for found in dict.fromkeys([built, *bases, *hypernet, *used]):
        ours = found.__module__.startswith(_MADE_OF) and found.__module__ not in _SHARED
        if ours and not found.__name__.startswith("_") and not found.__name__.endswith("Settings"):
            yield _link(found)


def _link(found: Any) -> Link:
    file = Path(inspect.getsourcefile(found) or "").relative_to(_SOURCE)
    lines, first = inspect.getsourcelines(found)
    page = f"_modules/{found.__module__.replace('.', '/')}.html"
    return Link(found.__qualname__, str(file), (first, first + len(lines) - 1), page)


def _follow(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.name != "html":
        return
    for link in (link for name in METHODS for link in links(METHODS[name])):
        page = Path(app.outdir) / link.page
        if not page.is_file() or f'id="{link.name}"' not in page.read_text():
            raise ExtensionError(f"a page of a method leads nowhere: {link.page}#{link.name}")
