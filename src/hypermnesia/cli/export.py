"""`hypermnesia export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export_command(
    run: Annotated[Path, typer.Argument(help="The run folder, for example runs/NAME.")],
    task: Annotated[int, typer.Option(help="Number of the task, from 1.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    to: Annotated[
        str, typer.Option(help="onnx, or torch: parameters and buffers as safetensors.")
    ] = "onnx",
    seed: Annotated[
        int | None, typer.Option(help="Of the run's seeds this one; otherwise the first.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Write the network of one task of a finished run to a file, for other programs.

    For example:

    hypermnesia export runs/split-digits_hnet_task --task 3 --out 3.onnx
    """
    from hypermnesia.experiments.export import export_task  # torch is slow to import

    done = export_task(run, task, to, out, seed=seed, overwrite=overwrite)
    inputs = " x ".join(map(str, done.inputs))
    typer.echo(f"{done.path}: from (batch, {inputs}) inputs to (batch, {done.outputs}) scores")
    for line in done.how_to_load:
        typer.echo(line)
