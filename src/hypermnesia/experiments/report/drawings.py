"""The figures of a report: across its runs, and of each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from hypermnesia import metrics
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import RunError
from hypermnesia.experiments.figures import Drawn
from hypermnesia.experiments.figures.accuracy_matrix import accuracy_matrix
from hypermnesia.experiments.figures.accuracy_over_time import accuracy_over_time
from hypermnesia.experiments.figures.bars import Bar
from hypermnesia.experiments.figures.cost import cost
from hypermnesia.experiments.figures.forgetting import forgetting
from hypermnesia.experiments.figures.of_run import figures_and_missing
from hypermnesia.experiments.figures.side_by_side import side_by_side
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.experiments.report.collect import CollectedRun
from hypermnesia.experiments.scenarios import evaluated
from hypermnesia.metrics import Matrix


def drawn_across(runs: Sequence[CollectedRun]) -> Iterator[Drawn]:
    """What compares `runs` of one benchmark, each with a finished seed or more."""
    # Every run has its entry in every scenario, and so one colour in all figures.
    matrices = {scenario: _matrices(runs, scenario) for scenario in _scenarios(runs)}
    yield side_by_side(
        [
            Bar(scenario, label, metrics.over_seeds([metrics.acc(each) for each in by_seed]))
            for scenario, by_label in matrices.items()
            for label, by_seed in by_label.items()
        ]
    )
    for scenario, by_label in matrices.items():
        drawn = forgetting(scenario, by_label)
        if drawn is not None:
            yield drawn
    yield cost({r.label: [each.seconds_per_iteration for each in r.results.values()] for r in runs})


def drawn_of(run: CollectedRun) -> tuple[list[Drawn], list[str]]:
    """What there is to see of one run with a finished seed or more, and what could not be drawn."""
    of_seed, undrawn = _of_first_seed(run)
    return [*_of_all_seeds(run), *of_seed], undrawn


def _of_all_seeds(run: CollectedRun) -> Iterator[Drawn]:
    for scenario, matrix in run.summary.matrices.items():
        yield accuracy_matrix(scenario, matrix, len(run.results))
        drawn = accuracy_over_time(scenario, matrix, len(run.results))
        if drawn is not None:
            yield drawn


def _of_first_seed(run: CollectedRun) -> tuple[list[Drawn], list[str]]:
    """What its weights, samples and data show, and which of them are missing or damaged."""
    try:
        of = finished_seed(run.folder.path, next(iter(run.results)))
    except RunError as error:
        return [], [str(error)]
    drawn, missing = figures_and_missing(of)
    return drawn, [f"{each.kind}: {each.reason}" for each in missing if each.damaged]


def _scenarios(runs: Sequence[CollectedRun]) -> list[ScenarioName]:
    found = {name for run in runs for name in evaluated(run.config)}
    return [name for name in get_args(ScenarioName) if name in found]


def _matrices(runs: Sequence[CollectedRun], scenario: ScenarioName) -> dict[str, list[Matrix]]:
    """By label the matrices of a run, one for each seed; none where it does not do `scenario`."""
    return {
        run.label: [
            each.accuracy[scenario] for each in run.results.values() if scenario in each.accuracy
        ]
        for run in runs
    }
