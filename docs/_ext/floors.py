"""The floors of the library, drawn from the contract that CI checks imports against."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"
_WIDTH, _LINE, _PADDING, _GAP = 720, 22, 12, 22  # pixels
_LETTERS = 72  # in a line
_STYLE = (
    "fill: none; stroke: var(--color-brand-primary)",
    "fill: var(--color-foreground-primary); font-size: 14px; font-family: var(--font-stack)",
    "stroke: var(--color-foreground-muted); marker-end: url(#down)",
)
_ARROW = (
    '<defs><marker id="down" markerWidth="8" markerHeight="8" refX="4" refY="4" orient="auto">'
    '<path d="M 0 0 L 8 4 L 0 8 z" style="fill: var(--color-foreground-muted)"/></marker></defs>'
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive `floors`."""
    app.add_directive("floors", Floors)
    return {"parallel_read_safe": True}


class Floors(SphinxDirective):
    """A box for each floor, the highest on top; arrows in the direction of imports."""

    def run(self) -> Sequence[nodes.Node]:
        """The drawing, as SVG inside the page."""
        self.env.note_dependency(str(_PROJECT))
        return [nodes.raw("", drawing(floors()), format="html")]


def floors() -> list[list[str]]:
    """Return the modules of each floor, from the top: `layers` in pyproject.toml."""
    contracts = tomllib.loads(_PROJECT.read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [
        [name.strip().partition(".")[2] for name in re.split("[:|]", layer)] for layer in layers
    ]


def drawing(layers: Sequence[Sequence[str]]) -> str:
    """Draw the floors as an SVG element with a description in words."""
    parts, y = [], _PADDING
    for position, names in enumerate(layers):
        lines = _lines(names)
        height = _LINE * len(lines) + _PADDING
        parts.append(_box(y, height, lines))
        y += height
        if position < len(layers) - 1:
            parts.append(f'<path style="{_STYLE[2]}" d="M {_WIDTH // 2} {y} v {_GAP - 8}"/>')
            y += _GAP
    words = "; ".join(f"floor {len(layers) - 1 - i}: {', '.join(f)}" for i, f in enumerate(layers))
    return (
        f'<svg role="img" viewBox="0 0 {_WIDTH} {y + _PADDING}" style="width: 100%">'
        f"<title>Imports flow down. From the top, {escape(words)}.</title>"
        f"{_ARROW}{''.join(parts)}</svg>"
    )


def _lines(names: Sequence[str]) -> list[str]:
    lines = [""]
    for name in names:
        longer = f"{lines[-1]} · {name}" if lines[-1] else name
        if len(longer) > _LETTERS:
            lines.append(name)
        else:
            lines[-1] = longer
    return lines


def _box(y: int, height: int, lines: Sequence[str]) -> str:
    rest = "".join(
        f'<text style="{_STYLE[1]}" text-anchor="middle" x="{_WIDTH // 2}" '
        f'y="{y + _PADDING // 2 + _LINE * (index + 0.7):.0f}">{escape(line)}</text>'
        for index, line in enumerate(lines)
    )
    size = f'x="1" y="{y}" width="{_WIDTH - 2}" height="{height}" rx="6"'
    return f'<rect style="{_STYLE[0]}" {size}/>{rest}'
