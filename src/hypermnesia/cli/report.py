"""`hypermnesia report`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer


def report_command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold some.")],
    out: Annotated[Path, typer.Option(help="The page.")] = Path("report.html"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a page that is there.")
    ] = False,
) -> None:
    """Write one self-contained HTML page about runs: figures, tables, settings and machines.

    Run folders are only read. What is not finished or damaged is left out, and said.

    For example:

    hypermnesia report runs/split-digits_*
    """
    from hypermnesia.experiments.integrity import run_folders
    from hypermnesia.experiments.report import check_place, collect, html_page, write_page

    check_place(out, overwrite=overwrite)
    collected = collect([folder for path in runs for folder in run_folders(path)])
    again = ["--overwrite"] if overwrite else []
    command = ["hypermnesia", "report", *map(str, runs), "--out", str(out), *again]
    write_page(out, html_page(collected, shlex.join(command)))
    for run in collected:
        for line in run.missing:
            typer.echo(f"{run.label}: {line}", err=True)
    typer.echo(out)
