"""Commands on tables of one's own: fit, predict, score, tasks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from hypermnesia.cli import options
from hypermnesia.errors import ConfigError, RunError

if TYPE_CHECKING:
    import numpy as np

    from hypermnesia.learner.folder import Record, TableLearner
    from hypermnesia.learner.tables import Table

Data = Annotated[Path, typer.Argument(help="A .csv, .tsv, .parquet or .npz file.")]
Learner = Annotated[Path, typer.Argument(help="The folder that `fit` wrote.")]
TaskOf = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="The column that names each row's task, or a task's name for all rows; otherwise "
        "the column that `fit` was told, if the file has it.",
    ),
]
Infer = Annotated[bool, typer.Option("--infer", help="Infer the task of each row.")]

_MODEL, _HOLDOUT = "mlp:200,200", 0.2


def fit_command(
    data: Data,
    out: Annotated[Path, typer.Option(help="The learner's folder; goes on with one there.")],
    target: Annotated[str | None, typer.Option(help="The column to predict.")] = None,
    task: Annotated[
        str | None,
        typer.Option(help="The column that names tasks, learned in the order of appearance."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the one task that the file is; otherwise the file's own name."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help=f"NAME:WIDTHS or package.module:name.  [default: {_MODEL}]"),
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Columns to leave out.")] = None,
    categories: Annotated[
        list[str] | None, typer.Option(help="Columns of texts; an input for each value.")
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            help="columns (each to mean 0, deviation 1), range (all to [0, 1], as pixels need; the "
            "default for one array) or none."
        ),
    ] = None,
    holdout: Annotated[
        float | None,
        typer.Option(help=f"Share of rows to measure by, not learn.  [default: {_HOLDOUT}]"),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="An argument of ContinualLearner."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Learn anew, in place of the learner there.")
    ] = False,
    device: options.Device = None,
    threads: options.Threads = None,
) -> None:
    """Learn the tasks of a table, one after another; tasks learned before are kept.

    The folder is written after each task: the same command goes on where it was interrupted, and
    another file adds its tasks.

    For example:

    hypermnesia fit data.csv --target y --task site --out learner

    hypermnesia fit more.csv --name north --out learner

    hypermnesia fit data.csv --target y --out other --set beta=0.5
    """
    from hypermnesia.cli.terminal import interruptible  # torch is slow to import
    from hypermnesia.learner.folder import held, is_table_learner
    from hypermnesia.learner.tables import read_table

    told = Told(
        target, task, model, scale, holdout,
        options.split(ignore or []), options.split(categories or []),
    )  # fmt: skip
    if name is not None and task is not None:
        got = f"--name {name} and --task {task}"
        raise ConfigError("--name is for a file that is one task", got=got, hint="leave one out")
    table, settings = read_table(data), _settings(assignments)
    _use_threads(threads)
    with held(out), interruptible():
        begins = overwrite or not is_table_learner(out)
        make = partial(_begun, table=table) if begins else _continued
        learner = make(out, told=told, settings=settings, device=device)
        one = name or (None if learner.record.columns.task else data.stem)
        _teach(learner, table, one)
    typer.echo(out)


@dataclass(frozen=True)
class Told:
    """What a fit is told of its table and model; None for what it is not."""

    target: str | None
    task: str | None
    model: str | None
    scale: str | None
    holdout: float | None
    ignore: list[str]
    categories: list[str]


def _settings(assignments: Sequence[str] | None) -> dict[str, Any]:
    """Arguments of a `ContinualLearner` by name; raises `ConfigError` for others."""
    from inspect import signature

    from hypermnesia.experiments.resolve import parsed
    from hypermnesia.learner import ContinualLearner

    own = ("self", "model", "device", "progress")
    known = [name for name in signature(ContinualLearner).parameters if name not in own]
    return {name: _number(value) for name, value in parsed(assignments or (), known).items()}


def _number(value: Any) -> Any:
    """`1e-3`, a text to YAML, as the number it is, and a whole one as an int."""
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        return value
    whole = isinstance(value, str) and isinstance(number, float) and number.is_integer()
    return int(number) if whole else number


def _use_threads(threads: int | None) -> None:
    if threads is None:
        return
    if threads < 1:
        raise ConfigError("--threads must be 1 or more", got=threads)
    import torch

    torch.set_num_threads(threads)


def _begun(
    out: Path, *, table: Table, told: Told, settings: dict[str, Any], device: str | None
) -> TableLearner:
    """A learner that has learned nothing, and reads the columns of this table."""
    from hypermnesia.learner.columns import Scaling, columns_of
    from hypermnesia.learner.folder import Record, TableLearner, last_step
    from hypermnesia.registry import unknown_name

    if told.target is None:
        hint = f"choose one of: {', '.join(table.columns)}"
        raise ConfigError("a first fit needs --target, the column to predict", hint=hint)
    if told.scale not in (None, *get_args(Scaling)):
        raise unknown_name("scale", told.scale, get_args(Scaling))
    holdout = _HOLDOUT if told.holdout is None else told.holdout
    if not 0 <= holdout < 1:
        raise ConfigError("--holdout must be a share, from 0 to below 1", got=holdout)
    lists = {"ignore": told.ignore, "categories": told.categories}
    scaling: Any = told.scale
    columns = columns_of(table, told.target, told.task, scaling=scaling, **lists)
    outputs = 1 if columns.kind == "float" else 2
    record = Record(columns, told.model or _MODEL, outputs, holdout, last_step(out))
    return TableLearner.begin(out, record, settings, device)


def _continued(
    out: Path, *, told: Told, settings: dict[str, Any], device: str | None
) -> TableLearner:
    """The learner that is there; raises `ConfigError` for options that say something else."""
    from hypermnesia.learner.folder import TableLearner

    if told.model is not None:
        _named(told.model)
    found = TableLearner.load(out, device)
    columns = found.record.columns
    _agree("--target", told.target, columns.target)
    _agree("--model", told.model, found.record.model)
    _agree("--scale", told.scale, columns.scaling)
    _agree("--holdout", told.holdout, found.record.holdout)
    for setting, value in settings.items():
        stored = getattr(found.learner.settings, setting, value)
        _agree(f"--set {setting}", value, list(stored) if isinstance(stored, tuple) else stored)
    one_hot = [each.name for each in columns.inputs if each.values is not None]
    inputs = [each.name for each in columns.inputs]
    _agree_on("--categories", [name for name in told.categories if name not in one_hot])
    _agree_on("--ignore", [name for name in told.ignore if name in inputs])
    _agree_on("--task", [told.task] if told.task in inputs else [])
    columns = replace(columns, task=told.task or columns.task)
    found.record = replace(found.record, columns=columns)
    return found


def _named(model: str) -> None:
    """Import the module of a model that the user names, so that its file may name it, too."""
    from hypermnesia.nets import NETS
    from hypermnesia.registry import is_path

    if is_path(model):
        NETS[model]


def _agree_on(option: str, others: Sequence[str]) -> None:
    for name in others:
        _agree(option, name, "another use for that column")


def _agree(option: str, given: Any, stored: Any) -> None:
    if given is not None and given != stored:
        rule = "a learner keeps what its first fit was told"
        hint = "leave it out, or learn anew with --overwrite"
        raise ConfigError(rule, got=f"{option} {given}, where it has {stored}", hint=hint)


def _teach(learner: TableLearner, table: Table, name: str | None) -> None:
    """Learn the tasks of a table that are not known yet, and say how it went."""
    from hypermnesia.learner.folder import lessons

    learner.learner.progress = sys.stderr.isatty()
    seed = learner.learner.settings.seed
    record = learner.record
    found = lessons(table, record.columns, name, record.holdout, seed)
    if not record.tasks:
        import numpy as np

        learner.scale(table, np.concatenate([each.learned for each in found]))
    samples = learner.read(table)
    new = [each for each in found if not learner.known(each, samples)]
    for lesson in found:
        if lesson not in new:
            typer.echo(f"{lesson.name}: learned already", err=True)
            continue
        typer.echo(f"{lesson.name}: learning {len(lesson.learned)} rows", err=True)
        learner.learn(lesson, samples)
    _show(learner.record)


def _show(record: Record) -> None:
    from hypermnesia.cli.terminal import console, show_table
    from hypermnesia.report.own_data import task_table

    show_table(console(), task_table(record), dense=True)


def tasks_command(learner: Learner) -> None:
    """Show what a learner of tables has learned: tasks, samples, classes, how well.

    For example:

    hypermnesia tasks learner
    """
    from hypermnesia.learner.folder import read_record

    record = read_record(learner)
    columns = record.columns
    typer.echo(f"{columns.target} from {len(columns.inputs)} columns, by {record.model}")
    _show(record)


def predict_command(
    learner: Learner,
    data: Data,
    task: TaskOf = None,
    infer: Infer = False,
    out: Annotated[Path | None, typer.Option(help="A CSV file; printed otherwise.")] = None,
    overwrite: options.Replace = False,
    device: options.Device = None,
) -> None:
    """Answer for the rows of a table: task, prediction and, of classes, its probability.

    For example:

    hypermnesia predict learner new.csv --task site --out answers.csv

    hypermnesia predict learner new.csv --infer
    """
    from hypermnesia.learner.folder import TableLearner  # torch is slow to import
    from hypermnesia.learner.tables import csv_rows, read_table
    from hypermnesia.storage import make_folder, os_errors_as_run_error, write_text

    if out is not None and out.exists() and not overwrite:
        hint = "choose another file, or replace it with --overwrite"
        raise RunError("answers replace no file", got=f"{out}, which exists", hint=hint)
    table, found = read_table(data), TableLearner.load(learner, device)
    header, rows = _answers(found, table, _tasks(found, table, task, infer=infer))
    if out is None:
        typer.echo(csv_rows(header, rows), nl=False)
        return
    with os_errors_as_run_error(out.parent, "the folder of the answers must be writable"):
        make_folder(out.parent)
    write_text(out, csv_rows(header, rows))
    typer.echo(out)


def _tasks(found: TableLearner, table: Table, task: str | None, *, infer: bool) -> list[str] | None:
    """The task of each row; None to infer it, which is said where nobody asked for it."""
    from hypermnesia.registry import unknown_name

    known = list(map(str, found.learner.tasks))
    column = task or found.record.columns.task
    if infer and task is not None:
        raise ConfigError("tasks are given or inferred", got="--task and --infer")
    if infer:
        return None
    if column is not None and column in table.columns:
        names = table.texts(column)
        for name in names:
            if name not in known:
                raise unknown_name(f"task (column {column})", name, known)
        return names
    if task is not None and task not in known:
        raise unknown_name("task, or column of tasks,", task, [*known, *table.columns])
    if task is not None or len(known) == 1:
        return [task or known[0]] * len(table)
    typer.echo("no --task: the task of each row is inferred", err=True)
    return None


def _answers(
    found: TableLearner, table: Table, tasks: list[str] | None
) -> tuple[list[str], list[tuple[object, ...]]]:
    """The header and rows of the answers, in the order of the table."""
    import numpy as np

    x = found.record.columns.read_inputs(table)
    named = tasks or found.learner.predict_task(x).tasks.tolist()
    answers = np.empty(len(x), dtype=object)
    shares: np.ndarray[Any, Any] = np.full(len(x), np.nan)
    for task, rows in _parts(tasks, len(x)):
        answers[rows] = found.learner.predict(x[rows], task=task)
        if found.record.quality.measure == "accuracy":
            shares[rows] = found.learner.predict_proba(x[rows], task=task).max(axis=1)
    header = ["task", found.record.columns.target]
    if found.record.quality.measure != "accuracy":
        return header, list(zip(named, answers, strict=True))
    texts = [f"{share:.4f}" for share in shares]
    return [*header, "probability"], list(zip(named, answers, texts, strict=True))


def _parts(tasks: list[str] | None, rows: int) -> list[tuple[str | None, np.ndarray[Any, Any]]]:
    """Each task with its rows; all rows under None where tasks are to be inferred."""
    import numpy as np

    if tasks is None:
        return [(None, np.arange(rows))]
    names = np.array(tasks)
    return [(task, np.flatnonzero(names == task)) for task in dict.fromkeys(tasks)]


def score_command(
    learner: Learner,
    data: Data,
    task: TaskOf = None,
    infer: Infer = False,
    device: options.Device = None,
) -> None:
    """Measure a learner on a table with targets: accuracy or, in regression, squared error.

    For example:

    hypermnesia score learner new.csv --task site

    hypermnesia score learner new.csv --infer
    """
    from hypermnesia.cli.terminal import console, show_table  # torch is slow to import
    from hypermnesia.learner.folder import TableLearner
    from hypermnesia.learner.quality import score
    from hypermnesia.learner.tables import read_table
    from hypermnesia.report.canvas import SCALES
    from hypermnesia.report.tables import TextTable

    table, found = read_table(data), TableLearner.load(learner, device)
    measure = found.record.quality.measure
    x, y = found.read(table)
    parts = _parts(_tasks(found, table, task, infer=infer), len(y))
    rows, total = [], 0.0
    for name, own in parts:
        value = score(found.learner, x[own], y[own], name, measure == "accuracy") or 0.0
        total += value * len(own)
        rows.append([name or "inferred", str(len(own)), SCALES[measure].text(value)])
    if len(parts) > 1:
        rows.append(["all", str(len(y)), SCALES[measure].text(total / len(y))])
    show_table(console(), TextTable("", ["task", "rows", SCALES[measure].label], rows), dense=True)
