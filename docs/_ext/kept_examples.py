"""The programs of examples/, cut into text and code, and what was kept of running them."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_ROOT = Path(__file__).parents[2]
EXAMPLES = _ROOT / "examples"
KEPT = _ROOT / "docs/figures/gallery"  # pictures, and what was printed
_CELL = "# %%"


@dataclass(frozen=True)
class Example:
    """A program of the gallery.

    Attributes:
        name: of its file.
        group: heading above its door.
        alt: what its picture shows, for those who do not see it.
    """

    name: str
    group: str
    alt: str

    @property
    def path(self) -> Path:
        """Its file."""
        return EXAMPLES / f"{self.name}.py"

    @property
    def title(self) -> str:
        """The first line of its docstring, without the full stop."""
        return self.cells()[0][1].partition("\n")[0].removeprefix("# ")

    def cells(self) -> list[tuple[str, str]]:
        """(`markdown` or `code`, text) of its parts: the docstring, comments under `# %%`, code."""
        source = self.path.read_text("utf-8")
        docstring = ast.get_docstring(ast.parse(source)) or ""
        first, _, rest = docstring.partition("\n")
        found = [("markdown", f"# {first.rstrip('.')}\n{rest}")]
        for part in f"\n{source}".split(f"\n{_CELL}\n")[1:]:
            text, code = re.match(r"((?:# [^\n]*\n)*)(.*)", part, re.DOTALL).groups()  # type: ignore[union-attr]
            if text:
                found.append(("markdown", re.sub(r"^# ", "", text, flags=re.M).strip()))
            found.append(("code", code.strip()))
        return found

    def checksum(self) -> str:
        """Of its code; words and formatting leave it as it is."""
        code = "\n".join(text for kind, text in self.cells() if kind == "code")
        return hashlib.sha256(ast.dump(ast.parse(code)).encode()).hexdigest()[:16]

    def notebook(self) -> str:
        """Its parts as a notebook, nbformat 4.5."""
        cells = [_notebook_cell(n, kind, text) for n, (kind, text) in enumerate(self.cells())]
        language = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        parts = {"cells": cells, "metadata": language, "nbformat": 4, "nbformat_minor": 5}
        return json.dumps(parts, indent=1) + "\n"


def _notebook_cell(number: int, kind: str, text: str) -> dict[str, Any]:
    cell = {"id": f"cell-{number}", "cell_type": kind, "metadata": {}}
    return (
        cell
        | {"source": text}
        | ({"outputs": [], "execution_count": None} if kind == "code" else {})
    )


def gallery() -> list[Example]:
    """All examples, in the order of their doors: docs/figures/gallery/examples.yaml."""
    groups = yaml.safe_load((KEPT / "examples.yaml").read_text("utf-8"))
    return [
        Example(name, group, " ".join(alt.split()))
        for group, examples in groups.items()
        for name, alt in examples.items()
    ]


def runs() -> dict[str, Any]:
    """What each example printed, by name, and where: docs/figures/gallery/runs.json."""
    return dict(json.loads((KEPT / "runs.json").read_text("utf-8")))


def readme() -> str:
    """What examples/README.md says: the gallery's groups and titles, as links to files."""
    lines = [
        "# Examples\n",
        "Programs on real data, each below 80 lines, with a picture at its end. The documents show",
        "them with what they print and draw, and as notebooks: docs/gallery, once built.",
        "`python docs/figures/gallery.py` runs them all.\n",
    ]
    examples = gallery()
    for group in dict.fromkeys(example.group for example in examples):
        lines.append(f"## {group}\n")
        own = [example for example in examples if example.group == group]
        lines += [f"- [{each.title}]({each.name}.py)" for each in own]
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"
