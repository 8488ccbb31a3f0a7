"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Benchmark = Annotated[str, typer.Argument(help="See `hypermnesia list benchmarks`.")]
Methods = Annotated[
    list[str], typer.Option("--method", help="One, or several with commas; see `list methods`.")
]
Seeds = Annotated[str, typer.Option(help="For example 0-2 or 0,3,5-7.")]
Recipe = Annotated[
    str | None, typer.Option(help="See `list recipes`; the benchmark's default otherwise.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Override a field; repeatable."),
]
Tasks = Annotated[int | None, typer.Option(help="Number of tasks.")]
DataDir = Annotated[
    Path | None, typer.Option(help="Folder of data files; or set HYPERMNESIA_DATA.")
]
Out = Annotated[Path, typer.Option(help="Folder for run folders, and for reports.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or auto.")]
Threads = Annotated[int | None, typer.Option(help="Threads of the processor.")]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Processes at a time; as many as cores otherwise.")
]
Tensorboard = Annotated[
    bool | None,
    typer.Option(
        "--tensorboard/--no-tensorboard",
        help="Write what TensorBoard shows, in the run folder.",
        show_default=False,
    ),
]
Train = Annotated[bool, typer.Option("--train/--no-train", help="Train, or show what is finished.")]
