"""A report on runs: one self-contained HTML page."""

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
from hypermnesia.experiments.config import ExperimentConfig, differences, evaluated
from hypermnesia.experiments.finished import finished_seed
from hypermnesia.experiments.resolve import Request, resolve
from hypermnesia.experiments.sizes import numbers_kept
from hypermnesia.metrics import Matrix
from hypermnesia.report import figures, matrices, tables
from hypermnesia.report.canvas import Drawn, Picture, picture
from hypermnesia.report.collect import CollectedRun, safe_text, seed_list
from hypermnesia.report.learned import figures_and_missing
from hypermnesia.report.tables import TextTable
from hypermnesia.storage import make_folder, os_errors_as_run_error, write_text


def rerun_command(config: ExperimentConfig) -> str:
    """Return the `hypermnesia run ...` command that repeats a run.

    Where this version's recipe differs from the stored run, or no longer exists, the difference is
    in `--set` options.
    """
    words = ["hypermnesia", "run", config.benchmark, "--method", config.method]
    if config.scenario != "all":
        words += ["--scenario", config.scenario]
    words += ["--seeds", format_seeds(config.seeds)]
    try:
        unchanged = _unchanged(config, config.recipe.name)
        words += ["--recipe", config.recipe.name]
    except ConfigError:
        unchanged = _unchanged(config, None)
    for path, (value, _) in differences(config, unchanged).items():
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
        words += ["--set", f"{path}=" + text.removesuffix("...\n").strip()]
    return shlex.join(words)


def format_seeds(seeds: Sequence[int]) -> str:
    """Format rising seeds as `--seeds` takes them: `0-2,5`."""
    ranges = []
    for _, pairs in groupby(enumerate(seeds), key=lambda pair: pair[1] - pair[0]):
        first, *others = [seed for _, seed in pairs]
        ranges.append(f"{first}-{others[-1]}" if others else str(first))
    return ",".join(ranges)


def _unchanged(config: ExperimentConfig, recipe: str | None) -> ExperimentConfig:
    """Return the configuration of the command without any `--set`."""
    scenario = evaluated(config)[0]
    request = Request(config.benchmark, (config.method,), scenario, config.seeds, recipe)
    (found,) = resolve(request)
    return found


def comparison_figures(runs: Sequence[CollectedRun]) -> Iterator[Drawn]:
    """Draw the figures that compare `runs` of one benchmark, each with a finished seed."""
    measure = runs[0].summary.measure
    found = {name for run in runs for name in evaluated(run.config)}
    scenarios = [name for name in get_args(ScenarioName) if name in found]
    # Every run has an entry in every scenario, and so the same colour in all figures.
    matrices = {scenario: _matrices(runs, scenario) for scenario in scenarios}
    bars = [
        figures.Bar(scenario, label, metrics.over_seeds([metrics.acc(each) for each in by_seed]))
        for scenario, by_label in matrices.items()
        for label, by_seed in by_label.items()
    ]
    yield figures.side_by_side(bars, measure)
    if measure == "accuracy" and (drawn := figures.sizes(_points(runs))) is not None:
        yield drawn
    for scenario, by_label in matrices.items():
        if (drawn := figures.forgetting(scenario, by_label, measure)) is not None:
            yield drawn
    yield figures.cost(
        {r.label: [each.seconds_per_iteration for each in r.results.values()] for r in runs}
    )
    memory = figures.memory({r.label: [s.memory_mb for s in r.results.values()] for r in runs})
    if memory is not None:
        yield memory


def _points(runs: Sequence[CollectedRun]) -> list[figures.Point]:
    """What each run reached in each scenario, with the numbers that it keeps."""
    return [
        figures.Point(
            scenario,
            run.label,
            metrics.over_seeds([numbers_kept(run.config, r) for r in run.results.values()]).mean,
            metrics.over_seeds([metrics.acc(r.accuracy[scenario]) for r in run.results.values()]),
        )
        for run in runs
        for scenario in evaluated(run.config)
    ]


def _matrices(runs: Sequence[CollectedRun], scenario: ScenarioName) -> dict[str, list[Matrix]]:
    """Return the matrices of each run by label, one for each seed; none without `scenario`."""
    found: dict[str, list[Matrix]] = {run.label: [] for run in runs}
    for run in runs:
        for result in run.results.values():
            if scenario in result.accuracy:
                found[run.label].append(result.accuracy[scenario])
    return found


def run_figures(run: CollectedRun) -> tuple[list[Drawn], list[str]]:
    """Draw the figures of one run with a finished seed; return also what could not be drawn."""
    summary, seeds = run.summary, len(run.results)
    drawn = []
    for scenario, matrix in summary.matrices.items():
        drawn.append(matrices.accuracy_matrix(scenario, matrix, seeds, summary.measure))
        over_time = matrices.accuracy_over_time(scenario, matrix, seeds, summary.measure)
        drawn += [] if over_time is None else [over_time]
    try:
        finished = finished_seed(run.folder.path, next(iter(run.results)))
    except RunError as error:
        return drawn, [str(error)]
    of_seed, missing = figures_and_missing(finished)
    damaged = [f"{each.kind}: {each.reason}" for each in missing if each.damaged]
    return [*drawn, *of_seed], damaged


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        anchor: its unique name on the page.
        title: its heading.
        pictures: its figures.
        details: tables of numbers that unfold; `background` holds tables of texts.
        facts: (term, description).
        command: repeats the run; None for several runs.
        tables: always visible.
        kind: what it is about.
    """

    anchor: str
    title: str
    pictures: Sequence[Picture]
    details: Sequence[TextTable]
    facts: Sequence[tuple[str, str]] = ()
    command: str | None = None
    tables: Sequence[TextTable] = ()
    background: Sequence[TextTable] = ()
    kind: str = "Run"


def comparison_sections(runs: Sequence[CollectedRun]) -> list[Section]:
    """Compare the runs with a finished seed, in a section for each topic."""
    groups: dict[str, list[CollectedRun]] = {}
    for run in runs:
        if run.results:
            groups.setdefault(topic(run), []).append(run)
    sections = []
    for number, (title, own) in enumerate(groups.items(), start=1):
        pictures = pictures_of(comparison_figures(own), f"results-{number}")
        details, results = [tables.cost_table(own)], [tables.results_table(own)]
        sections.append(Section(f"results-{number}", title, pictures, details, tables=results))
    return sections


def topic(run: CollectedRun) -> str:
    """Return what was evaluated; runs with the same topic are comparable."""
    held_out = "" if run.config.data.evaluate_on == "test" else ", validation samples"
    return run.config.benchmark + held_out


def run_section(run: CollectedRun, anchor: str) -> Section:
    """Describe one run, finished or not."""
    recipe = run.config.recipe
    drawn, damaged = run_figures(run) if run.results else ([], [])
    facts = [
        ("Folder", safe_text(run.folder.path.resolve().name)),
        ("Benchmark", f"{topic(run)}, {run.config.data.tasks} tasks"),
        ("Finished", seed_list(list(run.results)) if run.results else "no seed"),
        ("Recipe", safe_text(f"{recipe.name}{', changed' if recipe.changed else ''}")),
    ]
    return Section(
        anchor,
        run.label,
        pictures_of(drawn, anchor),
        details=list(tables.matrix_tables(run)) if run.results else [],
        facts=[*facts, *(("Not drawn", safe_text(line)) for line in damaged)],
        command=safe_text(rerun_command(run.config), 4000),
        background=[tables.settings_table(run), tables.environment_table(run)],
    )


def pictures_of(drawn: Iterable[Drawn], anchor: str) -> list[Picture]:
    """Render figures for a section whose anchor is this."""
    return [picture(each, f"{anchor}-{each.name}") for each in drawn]


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise unless a report may be written to `path`; a typo must not destroy results."""
    if path.suffix != ".html":
        raise ConfigError("a report must be called .html", got=path, hint=f"write {path}.html")
    if path.is_dir() or (path.exists() and not overwrite):
        rule = "a report does not replace files unless --overwrite is given"
        hint = "choose another file with --out, or replace it with --overwrite"
        raise RunError(rule, got=f"{path}, which exists", hint=hint)


def write_page(path: Path, page: str) -> None:
    """Write `page` to `path` in one step; create the folders above it."""
    with os_errors_as_run_error(path.parent, "the folder of the report must be writable"):
        make_folder(path.parent)
    write_text(path, page)


def html_page(runs: Sequence[CollectedRun], command: str, learners: Sequence[Section] = ()) -> str:
    """Render the page about `runs` and `learners`, one or more, that `command` makes."""
    measures = [run.summary.measure for run in runs if run.results]
    topics = [*dict.fromkeys(map(topic, runs)), *(each.title for each in learners)]
    sections = [run_section(run, f"run-{position}") for position, run in enumerate(runs, start=1)]
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=f"Learned one after another: {', '.join(topics)}",
        missing=[(run.label, line) for run in runs for line in run.missing],
        comparisons=comparison_sections(runs),
        runs=[*sections, *learners],
        legend=tables.legend(measures or ["accuracy"]),
        spread=tables.SPREAD,
        command=safe_text(command, 4000),
        version=__version__,
        now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
