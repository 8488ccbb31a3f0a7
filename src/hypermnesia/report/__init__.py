"""Figures, tables and reports about runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawn:
    """A figure and its description.

    Attributes:
        name: of its file, and its anchor on a page: letters, digits and hyphens.
        title: a few words.
        text: what it shows, with its main values, for readers who cannot see it; plain text.
        figure: made without pyplot, which keeps figures in a global state.
    """

    name: str
    title: str
    text: str
    figure: Figure
