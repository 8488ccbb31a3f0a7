"""The parts of a report: its runs compared, and each of them alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypermnesia.experiments.figures import Drawn
from hypermnesia.experiments.report.again import command_of
from hypermnesia.experiments.report.collect import CollectedRun
from hypermnesia.experiments.report.drawings import drawn_across, drawn_of
from hypermnesia.experiments.report.pictures import Picture, picture
from hypermnesia.experiments.report.shown import seeds_listed, shown
from hypermnesia.experiments.report.tables import (
    cost_table,
    environment_table,
    matrix_tables,
    results_table,
    settings_table,
)
from hypermnesia.experiments.texts import TextTable


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its name, once on the page.
        title: its heading.
        facts: (term, what there is to say).
        command: that makes it anew; None if there is none.
        tables: to see at once.
        pictures: its figures.
        details: tables of numbers that unfold.
        background: tables of texts that unfold.
    """

    anchor: str
    title: str
    facts: Sequence[tuple[str, str]]
    command: str | None
    tables: Sequence[TextTable]
    pictures: Sequence[Picture]
    details: Sequence[TextTable]
    background: Sequence[TextTable]


def comparisons(runs: Sequence[CollectedRun]) -> list[Section]:
    """The runs with a finished seed, those that answer the same question beside each other."""
    groups: dict[str, list[CollectedRun]] = {}
    for run in runs:
        if run.results:
            groups.setdefault(question(run), []).append(run)
    return [_compared(f"results-{i}", *each) for i, each in enumerate(groups.items(), start=1)]


def question(run: CollectedRun) -> str:
    """What a run is about: runs of the same question compare."""
    held_out = "" if run.config.data.evaluate_on == "test" else ", validation accuracy"
    return run.config.benchmark + held_out


def _compared(anchor: str, title: str, runs: Sequence[CollectedRun]) -> Section:
    return Section(
        anchor,
        title,
        facts=[],
        command=None,
        tables=[results_table(runs)],
        pictures=_pictures(drawn_across(runs), anchor),
        details=[cost_table(runs)],
        background=[],
    )


def alone(run: CollectedRun, anchor: str) -> Section:
    """What there is to say of one run, finished or not."""
    recipe = run.config.recipe
    drawn, undrawn = drawn_of(run) if run.results else ([], [])
    facts = [
        ("Folder", shown(run.folder.path.resolve().name)),
        ("Benchmark", f"{question(run)}, {run.config.data.tasks} tasks"),
        ("Finished", seeds_listed(list(run.results)) if run.results else "no seed"),
        ("Recipe", shown(f"{recipe.name}{', changed' if recipe.changed else ''}")),
    ]
    return Section(
        anchor,
        run.label,
        [*facts, *(("Not drawn", shown(line)) for line in undrawn)],
        command=shown(command_of(run.config), 4000),
        tables=[],
        pictures=_pictures(drawn, anchor),
        details=list(matrix_tables(run)) if run.results else [],
        background=[settings_table(run), environment_table(run)],
    )


def _pictures(drawn: Iterable[Drawn], anchor: str) -> list[Picture]:
    return [picture(each, f"{anchor}-{each.name}") for each in drawn]
