"""Equations as MathML, which browsers typeset themselves: no script, and nothing to be fetched."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging

_LOG = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the renderer `mathml`, which conf.py chooses."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def mathml(latex: str, display: str) -> str:
    """Return the `math` element of an equation, whose LaTeX is its description.

    Args:
        latex: a subset of it, as of the package latex2mathml.
        display: `inline` or `block`.

    Raises:
        ValueError: if it holds a command that is not known.
    """
    fenced = latex.replace(r"\lVert", r"\left\lVert").replace(r"\rVert", r"\right\rVert")
    element = str(convert(fenced, display=display))
    _, unknown, after = element.partition("\\")
    if unknown:
        raise ValueError(f"not known in an equation: {after[:20]}")
    title = latex.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return element.replace("<math ", f'<math alttext="{title}" ', 1)


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_checked(node, "inline"))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    lines = (line for line in node.astext().split("\n\n") if line.strip())
    shown = "".join(_checked(node, "block", line) for line in lines)
    translator.body.append(f'<div class="equation">{shown}</div>\n')
    raise nodes.SkipNode


def _checked(node: nodes.Element, display: str, latex: str | None = None) -> str:
    try:
        return mathml(latex or node.astext(), display)
    except Exception as error:  # what the converter raises is of many kinds
        _LOG.warning("an equation cannot be typeset: %s", error, location=node)
        return ""
