"""`hypermnesia figures`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def figures_command(
    run: Annotated[Path, typer.Argument(help="The run folder, for example runs/NAME.")],
    seed: Annotated[
        int | None, typer.Option(help="Of the run's seeds; the first finished one otherwise.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the figures; in the seed's folder otherwise.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of data files, where it has moved.")
    ] = None,
) -> None:
    """Draw what a finished run has learned, and say what each figure shows.

    Task confusion, embedding transfer matrix, task embeddings in two dimensions, samples of the
    generative memory after each task, as PNG files; ends with 1 if there is none.

    For example:

    hypermnesia figures runs/split-digits_hnet-tir_all
    """
    # torch is slow to import
    from hypermnesia.durable import make_folder, told_as_run_error, write_bytes
    from hypermnesia.experiments.figures.of_run import figures_and_missing
    from hypermnesia.experiments.figures.sheet import png
    from hypermnesia.experiments.finished import finished_seed

    of = finished_seed(run, seed, data_dir)
    drawn, missing = figures_and_missing(of)
    for kind in missing:
        typer.echo(f"no {kind.kind}: {kind.reason}")
    if not drawn:
        raise typer.Exit(1)
    folder = out or of.folder.path / "figures"
    with told_as_run_error(folder, "the folder of the figures must be writable"):
        make_folder(folder)
    for each in drawn:
        path = folder / f"{each.name}.png"
        write_bytes(path, png(each.figure))
        typer.echo(f"\n{each.title}: {path}\n{each.text}")
