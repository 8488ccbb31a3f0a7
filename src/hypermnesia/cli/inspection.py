"""Commands that read: check, explain, list, doctor, figures, report, export."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypermnesia.cli import options
from hypermnesia.errors import printable
from hypermnesia.registry import unknown_name

if TYPE_CHECKING:
    from hypermnesia.experiments.doctor import DataFound, Diagnosis, Rate


def check_command(runs: options.Runs) -> None:
    """Verify run folders against their checksums: what is damaged, and what is intact.

    The exit code is 1 if anything is damaged.

    For example:

    hypermnesia check runs
    """
    from hypermnesia.experiments.verify import check_run, run_folders  # torch is slow to import

    damaged = False
    for folder in (folder for path in runs for folder in run_folders(path)):
        findings = check_run(folder)
        counts = Counter(finding.verdict for finding in findings)
        damaged |= counts["damaged"] > 0
        verdicts = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
        typer.echo(f"{printable(str(folder))}: {verdicts}")
        for finding in findings:
            remark = f"  ({printable(finding.remark)})" if finding.remark else ""
            typer.echo(f"  {finding.verdict:<10} {printable(str(finding.path))}{remark}")
    if damaged:
        raise typer.Exit(1)


def explain_command(
    method: Annotated[str, typer.Argument(help="See `hypermnesia list methods`.")],
    benchmark: Annotated[
        str, typer.Option(help="Whose settings to show; see `list benchmarks`.")
    ] = "split-mnist",
    recipe: options.Recipe = None,
) -> None:
    """Show a method's equations, source, needs and settings.

    For example:

    hypermnesia explain hnet --benchmark split-mnist
    """
    from textwrap import indent

    from hypermnesia.cli.terminal import console
    from hypermnesia.experiments.explain import explain

    out, explanation = console(), explain(method, benchmark, recipe)
    out.print(explanation.title, style="bold", soft_wrap=True)
    for heading, text in explanation.parts:
        out.print(f"\n{heading}", style="italic", soft_wrap=True)
        out.print(indent(text, "  "), soft_wrap=True)


def list_command(
    kind: Annotated[str, typer.Argument(metavar="benchmarks|methods|recipes", help="What.")],
) -> None:
    """Show what there is to choose from.

    For example:

    hypermnesia list recipes
    """
    if kind not in _LISTS:
        raise unknown_name("list to show", kind, _LISTS)
    from hypermnesia.cli.terminal import console, show_table
    from hypermnesia.report.tables import TextTable

    headings, rows = _LISTS[kind]()
    names = sum(heading in ("benchmark", "method", "recipe") for heading in headings)
    show_table(console(), TextTable("", headings, rows), names=names, numbers=False)


Columns = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Headings and rows."""


def _benchmarks() -> Columns:
    from hypermnesia.data.benchmarks import BENCHMARKS

    found = [BENCHMARKS[name] for name in BENCHMARKS]
    rows = [(b.name, str(b.default_tasks), b.description, b.reference) for b in found]
    return ("benchmark", "tasks", "what it is", "source"), rows


def _methods() -> Columns:
    from hypermnesia.methods import METHODS

    found = [METHODS[name] for name in METHODS]
    rows = [(m.name, ", ".join(m.scenarios), m.trained, m.summary, m.source) for m in found]
    return ("method", "scenarios", "trained", "what it is", "source"), rows


def _recipes() -> Columns:
    from hypermnesia.data.benchmarks import BENCHMARKS
    from hypermnesia.experiments.resolve import load_recipe, recipe_names

    rows = [
        (benchmark, name if position else f"{name} (default)", load_recipe(benchmark, name).source)
        for benchmark in BENCHMARKS
        for position, name in enumerate(recipe_names(benchmark))
    ]
    return ("benchmark", "recipe", "source"), rows


_LISTS: dict[str, Callable[[], Columns]] = {
    "benchmarks": _benchmarks,
    "methods": _methods,
    "recipes": _recipes,
}


def doctor_command(
    data_dir: options.DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Show what this machine offers: versions, devices, rates, data and optional packages.

    For example:

    hypermnesia doctor
    """
    from dataclasses import asdict
    from json import dumps

    from hypermnesia.cli.terminal import console, show_table
    from hypermnesia.experiments.doctor import examine
    from hypermnesia.report.tables import TextTable

    found = examine(data_dir)
    if as_json:
        typer.echo(dumps(asdict(found), indent=2))
        return
    out, headings = console(), ("device", "format", "10⁹ operations/s", "against float32")
    title = "Matrix products, on one core of the CPU, beside whatever else runs"
    rates = TextTable(title, headings, [_rate(rate, found.rates) for rate in found.rates])
    named = found.data_folder is not None
    files = [(data.name, _files(data, named=named)) for data in found.data]
    can_run = [(b.name, _unless(b.missing, "can run", "needs")) for b in found.benchmarks]
    extras = [(e.name, _unless(e.missing, "installed", "missing:")) for e in found.extras]
    packages = "Optional packages: pip install 'hypermnesia[NAME]'"
    show_table(out, TextTable("Machine", ("", ""), _machine(found)), numbers=False)
    show_table(out, rates, names=2)
    for table in (
        TextTable(f"Data: {found.data_folder or 'the cache'}", ("data set", "files"), files),
        TextTable("Benchmarks", ("benchmark", ""), can_run),
        TextTable(packages, ("name", "packages"), extras),
    ):
        show_table(out, table, numbers=False)


def _unless(missing: Sequence[str], complete: str, lacks: str) -> str:
    return f"{lacks} {', '.join(missing)}" if missing else complete


def _machine(found: Diagnosis) -> Sequence[Sequence[str]]:
    names = ("hypermnesia", "commit", "python", "torch", "numpy", "platform", "cpu")
    facts, free = found.environment, _gigabytes(found.memory.available)
    return [
        *((name, str(facts[name])) for name in names if facts[name]),
        ("cores", f"{facts['cores']}, of which {found.usable_cores} can be used"),
        ("threads", f"{facts['threads']}, unless --threads says otherwise"),
        ("memory", f"{_gigabytes(found.memory.total)}, of which {free} are free"),
        ("gpu", facts["gpu"] or "none that torch can use"),
    ]


def _gigabytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e9:.1f} GB"


def _rate(rate: Rate, rates: Sequence[Rate]) -> Sequence[str]:
    if rate.per_second is None:
        return rate.device, rate.format, "-", "-"
    float32 = {each.device: each.per_second for each in rates if each.format == "float32"}
    base = float32[rate.device]
    ratio = "-" if base is None else f"{rate.per_second / base:.1f}"
    return rate.device, rate.format, f"{rate.per_second / 1e9:.1f}", ratio


def _files(data: DataFound, *, named: bool) -> str:
    if data.folder is None:
        return "inside a package"
    if not data.missing:
        return f"complete in {data.folder}"
    without = f"missing in {data.folder}: {', '.join(data.missing)}"
    if not named:
        return f"{without}; downloaded when first needed"
    return f"{without}; the cache has them all" if data.cached else without


def figures_command(
    run: options.Run,
    seed: options.FinishedSeed = None,
    out: options.FigureFolder = None,
    data_dir: options.MovedData = None,
) -> None:
    """Draw what a finished run has learned, and describe each figure in words.

    Task confusion, embedding transfer matrix, task embeddings in two dimensions, calibration and
    rejection, spread over drawn networks, samples of the generative memory after each task, and, of
    rotated images and sine waves, accuracy on tasks that were not learned from a few samples and
    where their embeddings fall, as PNG files; the exit code is 1 if there are none.

    For example:

    hypermnesia figures runs/split-digits_hnet-tir_all
    """
    # torch is slow to import
    from hypermnesia.experiments.finished import finished_seed
    from hypermnesia.report.canvas import png
    from hypermnesia.report.learned import figures_and_missing
    from hypermnesia.storage import make_folder, os_errors_as_run_error, write_bytes

    finished = finished_seed(run, seed, data_dir)
    drawn, missing = figures_and_missing(finished)
    for kind in missing:
        typer.echo(f"no {kind.kind}: {kind.reason}")
    if not drawn:
        raise typer.Exit(1)
    folder = out or finished.folder.path / "figures"
    with os_errors_as_run_error(folder, "the folder of the figures must be writable"):
        make_folder(folder)
    for each in drawn:
        path = folder / f"{each.name}.png"
        write_bytes(path, png(each.figure))
        typer.echo(f"\n{each.title}: {path}\n{each.text}")


def report_command(
    runs: options.Runs,
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    overwrite: options.Replace = False,
) -> None:
    """Write one self-contained HTML page about runs: figures, tables, settings and machines.

    Folders that `fit` wrote are described, too. All are only read. What is unfinished or damaged is
    left out, and listed.

    For example:

    hypermnesia report runs/split-digits_*

    hypermnesia report learner --out learner.html
    """
    from hypermnesia.experiments.verify import run_folders
    from hypermnesia.learner.folder import is_table_learner
    from hypermnesia.report.collect import collect
    from hypermnesia.report.own_data import learner_section
    from hypermnesia.report.page import check_output, html_page, write_page

    check_output(out, overwrite=overwrite)
    learners = [path for path in runs if is_table_learner(path)]
    folders = [folder for p in runs if p not in learners for folder in run_folders(p)]
    collected = collect(folders) if folders or not learners else []
    sections = [learner_section(path, f"learner-{i}") for i, path in enumerate(learners, start=1)]
    command = ["hypermnesia", "report", *map(str, runs), "--out", str(out)]
    command += ["--overwrite"] if overwrite else []
    write_page(out, html_page(collected, shlex.join(command), sections))
    for run in collected:
        for line in run.missing:
            typer.echo(f"{run.label}: {line}", err=True)
    typer.echo(out)


def export_command(
    run: options.Run,
    task: Annotated[int, typer.Option(help="Number of the task, from 1.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    to: Annotated[
        str, typer.Option(help="onnx, or torch: parameters and buffers as safetensors.")
    ] = "onnx",
    seed: options.FinishedSeed = None,
    overwrite: options.Replace = False,
) -> None:
    """Write the network of one task of a finished run to a file, for other programs.

    For example:

    hypermnesia export runs/split-digits_hnet_task --task 3 --out 3.onnx
    """
    from hypermnesia.experiments.finished import export_task  # torch is slow to import

    done = export_task(run, task, to, out, seed=seed, overwrite=overwrite)
    inputs = " x ".join(map(str, done.inputs))
    typer.echo(f"{done.path}: from (batch, {inputs}) inputs to (batch, {done.outputs}) outputs")
    typer.echo("\n".join(done.how_to_load))
