"""`hypermnesia reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hypermnesia.cli.options import DataDir, Device, Jobs, Out, Train
from hypermnesia.cli.seeds import parse_seeds
from hypermnesia.registry import unknown_name

_TABLES = ("table1",)


def reproduce_command(
    table: Annotated[str, typer.Argument(metavar="{table1}", help="Which table of the paper.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Small digits and short trainings: a first look.")
    ] = False,
    seeds: Annotated[
        str | None, typer.Option(help="For example 0-2; 0-4 otherwise, 0 if --quick.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="paper or best; each benchmark's default otherwise.")
    ] = None,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    jobs: Jobs = None,
    device: Device = None,
    train: Train = True,
) -> None:
    """Print a table of the paper with the published value, ours and the difference.

    Like `compare`: finished runs in --out are kept, interrupted ones go on. Ends with 1 if a
    training failed.

    For example:

    hypermnesia reproduce table1 --quick
    """
    if table not in _TABLES:
        raise unknown_name("table to reproduce", table, _TABLES)
    from hypermnesia.cli.session import compare_and_show, machine_options
    from hypermnesia.errors import ConfigError
    from hypermnesia.experiments.compare import plan
    from hypermnesia.experiments.table1 import question, table1

    if quick and recipe is not None:
        raise ConfigError(
            "--quick has a recipe of its own", got=f"--recipe {recipe}", cure="leave one out"
        )
    asked = parse_seeds(seeds or ("0" if quick else "0-4"))
    cells = plan(question(asked, recipe, machine_options(data_dir, device), quick=quick))
    name = "table1-quick" if quick else "table1"
    compare_and_show(cells, table1, out, name, jobs, train=train)
