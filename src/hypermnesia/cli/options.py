"""Options that several commands have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from hypermnesia.errors import ConfigError

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


_PART = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")
_MOST = 100_000


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds that `text` names, in order and each once.

    Raises:
        ConfigError: it is neither a number, a range nor a list of them.
    """
    seeds: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise _wrong(text)
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 <= last - first < _MOST:
            raise _wrong(text)
        seeds.update(range(first, last + 1))
    return tuple(sorted(seeds))


def _wrong(text: str) -> ConfigError:
    return ConfigError(
        "seeds must be numbers and rising ranges",
        got=f"'{text}'",
        cure="write for example 0-2 or 0,3,5-7",
    )
