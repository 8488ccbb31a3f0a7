"""Runs as one HTML page that needs nothing but itself."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import get_args

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from hypermnesia import __version__, metrics
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import ConfigError, RunError
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.experiments.identity import differences, evaluated
from hypermnesia.experiments.resolve import Request, resolve
from hypermnesia.metrics import Matrix
from hypermnesia.report import Drawn
from hypermnesia.report.bars import Bar, cost, forgetting, side_by_side
from hypermnesia.report.canvas import Picture, picture
from hypermnesia.report.collect import CollectedRun, seeds_listed, shown
from hypermnesia.report.matrices import accuracy_matrix, accuracy_over_time
from hypermnesia.report.of_run import figures_and_missing
from hypermnesia.report.tables import (
    LEGEND,
    SPREAD,
    TextTable,
    cost_table,
    environment_table,
    matrix_tables,
    results_table,
    settings_table,
)
from hypermnesia.storage import make_folder, os_errors_as_run_error, write_text


def command_of(config: ExperimentConfig) -> str:
    """`hypermnesia run ...` with the benchmark, recipe, seeds and settings of `config`.

    Where this version's recipe says something else than the stored run, or has gone, the
    difference is in the settings.

    Raises:
        ConfigError: the method cannot do what the configuration says.
    """
    words = ["hypermnesia", "run", config.benchmark, "--method", config.method]
    if config.scenario != "all":
        words += ["--scenario", config.scenario]
    words += ["--seeds", seeds_text(config.seeds)]
    try:
        plain, named = _plain(config, config.recipe.name), ["--recipe", config.recipe.name]
    except ConfigError:
        plain, named = _plain(config, None), []
    words += named
    for path, (value, _) in differences(config, plain).items():
        words += ["--set", f"{path}={_in_yaml(value)}"]
    return shlex.join(words)


def seeds_text(seeds: Sequence[int]) -> str:
    """Rising seeds as `--seeds` takes them: `0-2,5`."""
    runs = groupby(enumerate(seeds), key=lambda pair: pair[1] - pair[0])
    return ",".join(_range([seed for _, seed in run]) for _, run in runs)


def _range(seeds: Sequence[int]) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}-{seeds[-1]}"


def _plain(config: ExperimentConfig, recipe: str | None) -> ExperimentConfig:
    """What the command makes without any setting."""
    scenario = evaluated(config)[0]
    request = Request(config.benchmark, (config.method,), scenario, config.seeds, recipe)
    (plain,) = resolve(request)
    return plain


def _in_yaml(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return text.removesuffix("...\n").strip()


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


def check_place(path: Path, *, overwrite: bool) -> None:
    """See to it that a report may be written to `path`.

    Raises:
        ConfigError: it is not called like a page; with `overwrite`, a slip could cost results.
        RunError: something is there already, and `overwrite` is not set.
    """
    if path.suffix != ".html":
        raise ConfigError("a report must be called .html", got=path, cure=f"write {path}.html")
    if path.is_dir() or (path.exists() and not overwrite):
        raise RunError(
            "a report replaces nothing unless told to",
            got=f"{path}, which exists",
            cure="choose another file with --out, or replace it with --overwrite",
        )


def write_page(path: Path, page: str) -> None:
    """Write `page` to `path` in one step, and the folders above it.

    Raises:
        RunError: it cannot be written.
    """
    with os_errors_as_run_error(path.parent, "the folder of the report must be writable"):
        make_folder(path.parent)
    write_text(path, page)


def html_page(runs: Sequence[CollectedRun], command: str) -> str:
    """The page about `runs`, one or more, that `command` asked for.

    Raises:
        ConfigError: a run whose method cannot do what its configuration says.
    """
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=f"Learned one after another: {', '.join(dict.fromkeys(map(question, runs)))}",
        missing=[(run.label, line) for run in runs for line in run.missing],
        comparisons=comparisons(runs),
        runs=[alone(run, f"run-{position}") for position, run in enumerate(runs, start=1)],
        legend=LEGEND,
        spread=SPREAD,
        command=shown(command, 4000),
        version=__version__,
        now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
