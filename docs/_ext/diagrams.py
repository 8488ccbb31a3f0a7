"""Drawings in the colours of the page: boxes and arrows, as SVG within it, and pictures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_COLUMN, _ROW, _WIDTH, _HEIGHT, _LINE = 168, 78, 136, 50, 17  # pixels
_KEPT, _MADE, _GIVEN = "*", "~", ""  # what a box begins with
_BOX = {
    _KEPT: "fill: var(--color-brand-primary); fill-opacity: .13; "
    "stroke: var(--color-brand-primary); stroke-width: 2",
    _MADE: "fill: none; stroke: var(--color-brand-primary); stroke-dasharray: 5 4",
    _GIVEN: "fill: none; stroke: var(--color-foreground-border)",
}
_TEXT = "fill: var(--color-foreground-primary); font: 13px var(--font-stack)"
_ARROW = "fill: none; stroke: var(--color-foreground-muted)"
_TIP = "fill: var(--color-foreground-muted)"
CAPTION = "Filled: kept. Dashed: made when it is needed. Thin: data and answers, not kept."


@dataclass(frozen=True)
class Drawing:
    """Boxes in a grid, and arrows between them.

    Attributes:
        words: what it shows, for those who do not see it.
        boxes: (column, row, text) by name; a text begins with `*` if it is kept, with `~` if it is
            made when it is needed.
        arrows: `from>to` names, with spaces between; `from>to:text` has a text beside it.
    """

    words: str
    boxes: Mapping[str, tuple[float, float, str]]
    arrows: str


_ONE = {
    "e": (0, 0, "*embedding e_t|one a task"),
    "h": (1, 0, "*hypernetwork|shared, protected"),
    "w": (2, 0, "~weights W_t"),
}
_ANSWER = {"x": (1, 1, "input x"), "f": (2, 1, "~target network"), "y": (3, 1, "answer")}
_HYPERNET = _ONE | _ANSWER
_EACH = {
    "e": (0, 0, "*embeddings|of all tasks"),
    "h": (1, 0, "*hypernetwork"),
    "w": (2, 0, "~a network|for each task"),
    "x": (1, 1, "input x"),
}
_NET = {"x": (0, 0, "inputs of task T"), "f": (1, 0, "*one network"), "y": (2, 0, "answers")}

DRAWINGS: dict[str, Drawing] = {
    "hypernet": Drawing(
        "A task's embedding enters the hypernetwork, which makes the weights of the target "
        "network; the input enters the target network, which answers.",
        _HYPERNET,
        "e>h h>w w>f x>f f>y",
    ),
    "chunks": Drawing(
        "The task's embedding enters the hypernetwork once with each chunk embedding; each time it "
        "makes one chunk of the weights, which are laid side by side.",
        {
            "e": (0, 0, "*embedding e_t|of the task"),
            "c": (0, 1, "*embedding c_j|of the chunk"),
            "h": (1, 0.5, "*hypernetwork"),
            "k": (2, 0.5, "~chunk j of W_t|for j = 1, 2, ..., C"),
            "w": (3, 0.5, "~weights W_t"),
        },
        "e>h c>h h>k k>w",
    ),
    "data": Drawing(
        "A few labelled samples are encoded; the encoding enters the hypernetwork in place of a "
        "learned embedding, and the hypernetwork makes the weights of the target network.",
        {**_HYPERNET, "s": (-1, 0, "5 to 50 samples|with labels"), "e": (0, 0, "*encoding e(S)")},
        "s>e e>h h>w w>f x>f f>y",
    ),
    "entropy": Drawing(
        "The hypernetwork makes a network for each task; the input goes through all of them, and "
        "the network with the lowest entropy answers.",
        {**_EACH, "p": (2, 1, "an answer of each"), "y": (3, 1, "the surest one")},
        "e>h h>w w>p x>p p>y",
    ),
    "noise": Drawing(
        "The hypernetwork makes means and variances of each task's weights; networks are drawn, "
        "and the task whose mean answer is surest answers.",
        {
            **_EACH,
            "w": (2, 0, "~mean and variance|of each weight"),
            "d": (3, 0, "~networks drawn|for each task"),
            "x": (2, 1, "input x"),
            "p": (3, 1, "mean answer of|each task"),
            "y": (4, 1, "the surest one"),
        },
        "e>h h>w w>d d>p x>p p>y",
    ),
    "likelihood": Drawing(
        "One hypernetwork makes a network for each task, another an autoencoder for each task. The "
        "autoencoder that gives the input the highest likelihood decides which network answers.",
        {
            "v": (0, 0, "*hypernetwork|of autoencoders"),
            "a": (1, 0, "~an autoencoder|for each task"),
            "p": (2, 0, "likelihood of x|in each task"),
            "t": (3, 0, "likeliest task"),
            "x": (1, 1, "input x"),
            "h": (0, 2, "*hypernetwork|of networks"),
            "f": (2, 2, "~network of|that task"),
            "y": (3, 2, "answer"),
        },
        "v>a a>p p>t x>p x>f h>f t>f f>y",
    ),
    "recognise": Drawing(
        "A hypernetwork makes generators of earlier tasks' inputs. A classifier learns from them "
        "and from current inputs to tell the task; the network of that task answers.",
        {
            "v": (0, 0, "*hypernetwork|of generators"),
            "g": (1, 0, "~inputs of|earlier tasks"),
            "r": (2, 0, "*classifier|of tasks"),
            "t": (3, 0, "task"),
            "x": (1, 1, "input x"),
            "h": (0, 2, "*hypernetwork|of networks"),
            "f": (2, 2, "~network of|that task"),
            "y": (3, 2, "answer"),
        },
        "v>g g>r r>t x>r x>f h>f t>f f>y",
    ),
    "plain": Drawing("The data of one task after another train one network.", _NET, "x>f f>y"),
    "separate": Drawing(
        "Each task's data train a network of its own.",
        {
            "x": (0, 0, "inputs of task 1"),
            "f": (1, 0, "*network 1"),
            "y": (2, 0, "answers"),
            "u": (0, 1, "inputs of task 2"),
            "g": (1, 1, "*network 2"),
            "z": (2, 1, "answers"),
        },
        "x>f f>y u>g g>z",
    ),
    "joint": Drawing(
        "The data of all tasks, kept, train one network together.",
        {**_NET, "x": (0, 0, "*inputs of|all tasks")},
        "x>f f>y",
    ),
    "penalty": Drawing(
        "The data of the current task train one network; a penalty, from the importance of each "
        "weight and its former value, pulls weights back that earlier tasks depend on.",
        {**_NET, "p": (1, 1, "*importance and|former weights")},
        "x>f f>y p>f:pulls",
    ),
    "distil": Drawing(
        "The current inputs go through the former network too, and the network learns to go on "
        "giving the former answers beside the new ones.",
        {
            "x": (0, 0.5, "inputs of task T"),
            "f": (1, 0, "*one network"),
            "o": (1, 1, "~its former self"),
            "y": (2, 0, "new labels"),
            "z": (2, 1, "former answers"),
        },
        "x>f x>o y>f o>z z>f",
    ),
    "replay": Drawing(
        "A generator draws inputs like those of earlier tasks; the network's former self answers "
        "them, and the network learns from them together with the current task's data.",
        {
            "g": (0, 1, "*generator"),
            "r": (1, 1, "~inputs like those|of earlier tasks"),
            "z": (2, 1, "former answers"),
            "x": (0, 0, "inputs of task T"),
            "f": (2, 0, "*one network"),
            "y": (3, 0, "answers"),
        },
        "g>r r>z z>f:teaches x>f f>y",
    ),
    "classes": Drawing(
        "The input goes through an autoencoder for each class; the likeliest class answers.",
        {
            "x": (0, 0, "input x"),
            "a": (1, 0, "*an autoencoder|for each class"),
            "p": (2, 0, "likelihood of x|in each class"),
            "y": (3, 0, "likeliest class"),
        },
        "x>a a>p p>y",
    ),
    "total": Drawing(
        "Networks that a hypernetwork makes for each task, and sums of features with densities, "
        "each score every class; the scores are added, and the largest answers.",
        {
            "h": (0, 0, "*hypernetwork"),
            "w": (1, 0, "~a network|for each task"),
            "x": (0, 1, "input x"),
            "s": (1, 1, "*sums and densities|of features"),
            "p": (2, 0.5, "scores of each|class, added"),
            "y": (3, 0.5, "largest score"),
        },
        "h>w w>p x>w x>s s>p p>y",
    ),
    "sums": Drawing(
        "Features of every input are added up to sums, from which a linear classifier is solved.",
        {
            "x": (0, 0, "inputs of a task"),
            "f": (1, 0, "~features|fixed"),
            "s": (2, 0, "*sums over|all inputs so far"),
            "w": (3, 0, "~linear classifier,|solved"),
        },
        "x>f f>s s>w",
    ),
}


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directives `drawing` and `picture`."""
    app.add_directive("drawing", Draw)
    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True}


class Draw(SphinxDirective):
    """The drawing that the argument names."""

    required_arguments = 1

    def run(self) -> Sequence[nodes.Node]:
        """The drawing, as SVG inside the page, and what its strokes mean."""
        svg = drawn(DRAWINGS[self.arguments[0]])
        return [nodes.raw("", f'{svg}<p class="drawn">{CAPTION}</p>', format="html")]


class Picture(SphinxDirective):
    """A picture of docs/figures by its name, in the colours of the page; its text is for all.

    The option `alt` describes it to those who do not see it; the content is written below it.
    """

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[Any] = {"alt": directives.unchanged_required}

    def run(self) -> Sequence[nodes.Node]:
        """An image for light pages, one for dark ones, and what draws them."""
        name, figure = self.arguments[0], nodes.figure()
        for page in ("light", "dark"):
            figure += nodes.image(
                uri=f"/figures/{name}-{page}.svg",
                alt=self.options["alt"],
                classes=[f"only-{page}"],
            )
        figure += nodes.caption("", "", *self.parse_inline(" ".join(self.content))[0])
        return [figure]


def drawn(drawing: Drawing) -> str:
    """Draw boxes and arrows as an SVG element, in a box that scrolls where it is too wide."""
    left = min(column for column, _, _ in drawing.boxes.values())
    width = (max(column for column, _, _ in drawing.boxes.values()) - left) * _COLUMN + _WIDTH + 4
    height = max(row for _, row, _ in drawing.boxes.values()) * _ROW + _HEIGHT + 4
    corners = {
        name: ((column - left) * _COLUMN + 2, row * _ROW + 2)
        for name, (column, row, _) in drawing.boxes.items()
    }
    parts = [_box(*corners[name], text) for name, (_, _, text) in drawing.boxes.items()]
    for arrow in drawing.arrows.split():
        names, _, text = arrow.partition(":")
        start, _, end = names.partition(">")
        parts.append(_arrow(corners[start], corners[end], text))
    return (
        f'<div class="drawing"><svg role="img" viewBox="0 0 {width:g} {height:g}" '
        f'style="max-width: {width:g}px; min-width: {min(width, 520):g}px; width: 100%">'
        f"<title>{escape(drawing.words)}</title>{_MARKER}{''.join(parts)}</svg></div>"
    )


_MARKER = (
    '<defs><marker id="tip" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
    f'<path d="M 0 0 L 9 4 L 0 8 z" style="{_TIP}"/></marker></defs>'
)


def _box(x: float, y: float, text: str) -> str:
    kind = text[0] if text[0] in (_KEPT, _MADE) else _GIVEN
    lines = text.removeprefix(kind).split("|")
    top = y + _HEIGHT / 2 - (len(lines) - 1) * _LINE / 2 + 4.5
    shown = "".join(
        f'<text style="{_TEXT}" text-anchor="middle" x="{x + _WIDTH / 2:g}" '
        f'y="{top + _LINE * number:g}">{_with_indices(line)}</text>'
        for number, line in enumerate(lines)
    )
    size = f'x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="7"'
    return f'<rect style="{_BOX[kind]}" {size}/>{shown}'


def _with_indices(line: str) -> str:
    lowered = r'<tspan dy="4" font-size="10">\1</tspan><tspan dy="-4">&#8203;</tspan>'
    return re.sub(r"_(\w)", lowered, escape(line))


def _arrow(start: tuple[float, float], end: tuple[float, float], text: str) -> str:
    """From the side of a box that faces the other one, across or up and down."""
    (x, y), (u, v) = start, end
    if x == u:
        a, b = (x + _WIDTH / 2, y + _HEIGHT * (y < v)), (x + _WIDTH / 2, v + _HEIGHT * (y > v))
    else:
        a = (x + _WIDTH * (x < u), y + _HEIGHT / 2)
        b = (u + _WIDTH * (x > u), v + _HEIGHT / 2 + 8 * ((y > v) - (y < v)))
    label = ""
    if text:
        beside = x == u
        anchor = "start" if beside else "middle"
        middle = (a[0] + b[0]) / 2 + 5 * beside, (a[1] + b[1]) / 2 + (4 if beside else -5)
        at = f'x="{middle[0]:g}" y="{middle[1]:g}" text-anchor="{anchor}"'
        label = f'<text style="{_TEXT}; font-size: 11px" {at}>{text}</text>'
    line = f"M {a[0]:g} {a[1]:g} L {b[0]:g} {b[1]:g}"
    return f'<path style="{_ARROW}" marker-end="url(#tip)" d="{line}"/>{label}'
