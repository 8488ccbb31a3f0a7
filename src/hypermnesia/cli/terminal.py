"""What commands print: progress while they train, tables at the end, how to continue."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from hypermnesia.compute import keep_freed_memory
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.compare import Cell, Trial, carry_out, filled, judged, train_all
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.launch import Job
from hypermnesia.experiments.results import RunSummary, results_of, summary_of
from hypermnesia.experiments.run import Place, Watch, check_file_name, check_place
from hypermnesia.experiments.run_folder import RunFolder
from hypermnesia.report import tables
from hypermnesia.report.canvas import SCALES, seed_count
from hypermnesia.report.comparison import Comparison, check_files, write_files
from hypermnesia.report.tables import TextTable
from hypermnesia.training.loop import Terminated, Termination, interrupt_on_sigterm
from hypermnesia.training.observers import ObserverGroup, StopTraining, progress_display

_MOST_TASKS = 12  # in a matrix that is printed; a larger one is in its file


@contextmanager
def session(folders: Sequence[Path] = ()) -> Iterator[Watch]:
    """Show the progress of trainings; yield what makes an observer for each of them.

    When interrupted, print how to continue: by `hypermnesia resume` of the `folders` of the runs
    or, without any, by the same command.
    """
    keep_freed_memory()
    termination = Termination()
    with (
        interruptible(folders),
        interrupt_on_sigterm(termination.request),
        progress_display() as show,
    ):
        yield lambda config, seed: ObserverGroup(show(f"{config.method} seed {seed}"), termination)


@contextmanager
def interruptible(folders: Sequence[Path] = ()) -> Iterator[None]:
    """Turn an interrupt into an exit with the shell's code, after a line on how to continue."""
    try:
        yield
    except (KeyboardInterrupt, StopTraining) as stopped:
        typer.echo(_how_to_continue(folders), err=True)
        terminated = isinstance(stopped, Terminated | StopTraining)
        raise typer.Exit(128 + (signal.SIGTERM if terminated else signal.SIGINT)) from None


def _how_to_continue(folders: Sequence[Path]) -> str:
    begun = [folder for folder in folders if RunFolder(folder).config.is_file()]
    if begun:
        commands = [f"hypermnesia resume {shlex.quote(str(folder))}" for folder in begun]
        return f"interrupted; go on with: {' && '.join(commands)}"
    if folders:
        return "interrupted before training began"
    return "interrupted; the same command goes on from here"


def compare_and_show(
    cells: Sequence[Cell],
    make: Callable[[Sequence[Cell]], Comparison],
    out: Path,
    name: str,
    jobs: int | None,
    *,
    train: bool,
) -> None:
    """Train what the `cells` need, `jobs` at a time, then show and write the comparison.

    Runs are in `out`, as are the files called `name`; without `train`, show what is finished.
    """
    check_file_name(name)
    check_files(out, name)
    if not train and not out.is_dir():
        rule, got = "--no-train shows the runs of a folder", f"{out}, which is none"
        raise ConfigError(rule, got=got, hint="name it with --out")
    failed = {}
    if train:
        with interruptible():
            failed = carry_out(cells, out, jobs, say)
    comparison = make(filled(cells, out))
    show_comparison(comparison)
    typer.echo(", ".join(map(str, write_files(comparison, out, name))))
    end_with(failed)


def say(line: str) -> None:
    """Print a line about trainings at work."""
    typer.echo(line, err=True)


def end_with(failed: Mapping[Job, str]) -> None:
    """Say which trainings failed; end with the exit code 1 if any did."""
    for job, reason in failed.items():
        say(f"failed: {job}: {reason}")
    if failed:
        raise typer.Exit(1)


def launch_and_show(
    configs: Sequence[ExperimentConfig],
    place: Place,
    jobs: int | None,
    scenario: ScenarioName | None = None,
) -> None:
    """Train runs by their launchers, `jobs` at a time, then show what is finished of them."""
    check_place(configs, place)
    runs = {place.folder(config): config for config in configs}
    with interruptible():
        failed = train_all(runs, jobs, say, overwrite=place.overwrite)
    if summaries := [found for run in runs.items() if (found := _summary(*run)) is not None]:
        show(summaries, scenario)
    end_with(failed)


def _summary(path: Path, config: ExperimentConfig) -> RunSummary | None:
    """Return the figures over the seeds of a run that are finished, if any are."""
    folder = RunFolder(path)
    seeds = folder.finished_seeds()
    return summary_of(folder, config, results_of(folder, config, seeds)) if seeds else None


def console() -> Console:
    """Return standard output, wide enough for every table where it is not a terminal."""
    found = Console(markup=False, highlight=False)
    if not found.is_terminal:
        found.width = 200
    return found


def show_table(
    out: Console, table: TextTable, *, names: int = 1, numbers: bool = True, dense: bool = False
) -> None:
    """Print a table under its title, `dense` without space around it.

    The first columns, as many as `names`, are not folded; `numbers` are aligned on the right.
    """
    space, header = (0, 0) if dense else (0, 1), any(table.headings)
    shown = Table(box=box.SIMPLE_HEAD, padding=space, show_edge=not dense, show_header=header)
    for position, heading in enumerate(table.headings):
        if position < names:
            shown.add_column(heading, no_wrap=True)
        else:
            shown.add_column(heading, justify="right" if numbers else "left", overflow="fold")
    for row in table.rows:
        shown.add_row(*row)
    if table.title:  # a title of the table itself would be folded to its width
        out.print(table.title, style="italic", soft_wrap=True)
    out.print(shown)


def show(summaries: Sequence[RunSummary], scenario: ScenarioName | None = None) -> None:
    """Print R of runs of one benchmark in a scenario or all, then one table that compares them."""
    out = console()
    rows = [(s, name) for s in summaries for name in s.scenarios if scenario in (None, name)]
    for summary, name in rows:
        _show_matrix(out, summary, name)
    named = [(summary.config.method, summary, name) for summary, name in rows]
    content = tables.metrics_table(_comparison_title(rows), named)
    names = sum(each in tables.NAMES for each in content.headings)
    show_table(out, content, names=names, dense=True)
    legend = tables.legend(summary.measure for summary in summaries)
    meanings = "; ".join(f"{heading} = {meaning}" for heading, meaning in legend.items())
    out.print(f"\n{meanings}. {tables.SPREAD}", style="dim")
    for summary in summaries:
        out.print(f"{summary.config.method}: {summary.folder.path}", soft_wrap=True)


def show_comparison(comparison: Comparison) -> None:
    """Print the tables of a comparison and its notes."""
    out = console()
    for table in comparison.tables:
        show_table(out, table, dense=True)
        out.print()
    for note in comparison.notes:
        out.print(note, style="dim")


def launch_trials(
    trials: Sequence[Trial],
    place: Place,
    jobs: int | None,
    scenario: ScenarioName,
    *,
    early_stopping: bool,
) -> None:
    """Train the points of a grid by their launchers, then show those that are finished."""
    runs = {place.folder(trial.config): trial.config for trial in trials}
    stopped: Mapping[Path, str] = {}
    with interruptible():
        if early_stopping:
            from hypermnesia.experiments.early_stopping import train_halving

            failed, stopped = train_halving(runs, scenario, jobs, say)
        else:
            failed = train_all(runs, jobs, say)
    left = [
        trial
        for trial in trials
        if not RunFolder(place.folder(trial.config)).unfinished(trial.config.seeds)
    ]
    found = [_summary(place.folder(trial.config), trial.config) for trial in left]
    if summaries := [each for each in found if each is not None]:
        reasons = [(trial, stopped.get(place.folder(trial.config))) for trial in trials]
        aside = {trial.settings: reason for trial, reason in reasons if reason is not None}
        show_trials(left, judged(left, summaries), scenario, aside)
    end_with(failed)


def show_trials(
    trials: Sequence[Trial],
    summaries: Sequence[RunSummary],
    scenario: ScenarioName,
    stopped: Mapping[tuple[str, ...], str] = MappingProxyType({}),
) -> None:
    """Print the points of a grid, the best first, and the best one's settings for a command.

    Those that were `stopped`, by their settings, come last, without figures, each with the reason.
    """
    measure = summaries[0].measure
    found = [(trial, s.scenarios[scenario]) for trial, s in zip(trials, summaries, strict=True)]
    found.sort(key=lambda pair: SCALES[measure].sign * pair[1]["acc"]["mean"], reverse=True)
    fields = [setting.partition("=")[0] for setting in trials[0].settings]
    columns = tables.COLUMNS[measure][:3]
    rows = [
        [
            *(setting.partition("=")[2] for setting in trial.settings),
            *(tables.cell(figures[name], digits) for _, name, digits in columns),
            str(figures["acc"]["n"]),
        ]
        for trial, figures in found
    ]
    for settings, reason in stopped.items():
        values = [setting.partition("=")[2] for setting in settings]
        rows.append([*values, *(len(columns) * ["-"]), reason])
    first, *others = (heading for heading, *_ in columns)
    out, headings = console(), [*fields, f"validation {first}", *others, "n"]
    show_table(out, TextTable("", headings, rows), names=0)
    best = " ".join(f"--set {shlex.quote(setting)}" for setting in found[0][0].settings)
    out.print(f"best: {best}", soft_wrap=True)


def _comparison_title(rows: Sequence[tuple[RunSummary, ScenarioName]]) -> str:
    first, scenarios = rows[0][0].config, {name for _, name in rows}
    changed = ", changed" if any(s.config.recipe.changed for s, _ in rows) else ""
    parts = [first.benchmark, f"recipe {first.recipe.name}{changed}"]
    if len(scenarios) == 1:
        parts.insert(1, f"{rows[0][1]} scenario")
    if first.data.evaluate_on != "test":
        parts.append("validation samples")
    return ", ".join(parts)


def _show_matrix(out: Console, summary: RunSummary, scenario: ScenarioName) -> None:
    config, matrix = summary.config, summary.matrices[scenario]
    which = f" in {scenario}" if len(summary.scenarios) > 1 else ""
    held_out = "" if config.data.evaluate_on == "test" else "validation "
    seeds = seed_count(summary.scenarios[scenario]["acc"]["n"])
    label = SCALES[summary.measure].label
    title = f"{config.method}{which}: {held_out}{label}, mean of {seeds}"
    if len(matrix) > _MOST_TASKS:
        file = summary.folder.matrix(scenario)
        out.print(f"{title}: {len(matrix)} tasks, in {file}", soft_wrap=True)
        return
    headings = ["after", *(f"task {j}" for j in range(1, len(matrix) + 1))]
    formatted = tables.matrix_rows(matrix, summary.measure)
    rows = [[f"task {number}", *values] for number, *values in formatted]
    show_table(out, TextTable(title, headings, rows))
