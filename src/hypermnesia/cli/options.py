"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hypermnesia.errors import ConfigError

if TYPE_CHECKING:
    from hypermnesia.experiments.config import ExperimentConfig

Benchmark = Annotated[str, typer.Argument(help="See `hypermnesia list benchmarks`.")]
Run = Annotated[Path, typer.Argument(help="The run folder, for example runs/NAME.")]
Runs = Annotated[list[Path], typer.Argument(help="Run folders, or folders that contain some.")]
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
MovedData = Annotated[Path | None, typer.Option(help="Folder of data files, where it has moved.")]
Out = Annotated[Path, typer.Option(help="Folder for run folders, and for reports.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or auto.")]
Threads = Annotated[int | None, typer.Option(help="Threads of the processor.")]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Processes at a time; as many as cores otherwise.")
]
Launcher = Annotated[
    str | None,
    typer.Option(help="What trains: local processes, ray (a cluster), or package.module:name."),
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Of the Ray cluster, HOST:PORT; RAY_ADDRESS, this machine's or a new one otherwise."
    ),
]
Sizes = Annotated[
    bool, typer.Option("--sizes", help="Methods at several sizes, too, where one can choose.")
]
TablesName = Annotated[
    str | None,
    typer.Option(help="Name of the files with the tables; comparison_BENCHMARKS otherwise."),
]
EarlyStopping = Annotated[
    bool,
    typer.Option(
        "--early-stopping",
        help="Stop points whose first seed looks worse after some tasks (ASHA, on Ray).",
    ),
]
Tensorboard = Annotated[
    bool | None,
    typer.Option(
        "--tensorboard/--no-tensorboard",
        help="Write event files for TensorBoard, in the run folder.",
        show_default=False,
    ),
]
Loggers = Annotated[
    list[str] | None,
    typer.Option(
        "--logger",
        metavar="NAME",
        help="Also write to tensorboard, mlflow or wandb; repeatable. --logger none for none.",
    ),
]
Scenario = Annotated[
    str | None,
    typer.Option(
        help="task (the default), domain or class; or CL1, TIL, 1 and so on. A method that is "
        "trained once for all of them shows this one, or all if none is given."
    ),
]
ClassOrder = Annotated[
    int | None, typer.Option(help="Seed of a random order of the classes.", metavar="SEED")
]
Redo = Annotated[
    bool, typer.Option("--overwrite", help="Replace another run, or redo these seeds.")
]
Precision = Annotated[
    str | None, typer.Option(help="float32 or bf16, for matrix products in training.")
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Train through torch.compile; pays for convolutions.")
]
FinishedSeed = Annotated[
    int | None, typer.Option(help="One of the run's seeds; the first finished one otherwise.")
]
Validation = Annotated[
    int, typer.Option(help="Training samples of each task to hold out and evaluate on.")
]
FigureFolder = Annotated[
    Path | None, typer.Option(help="Folder for the figures; in the seed's folder otherwise.")
]
Replace = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")]
Grid = Annotated[
    list[str],
    typer.Option(
        metavar="SECTION.FIELD=VALUE,VALUE,...",
        help="Values to try; all combinations of several such options.",
    ),
]
Train = Annotated[bool, typer.Option("--train/--no-train", help="Train, or show what is finished.")]

_PART = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")
_MOST = 100_000


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse numbers and ranges with commas between them into sorted, distinct seeds."""
    seeds: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 0 <= last - first < _MOST:
            rule, hint = (
                "seeds must be numbers and rising ranges",
                "write for example 0-2 or 0,3,5-7",
            )
            raise ConfigError(rule, got=f"'{text}'", hint=hint)
        seeds.update(range(first, last + 1))
    return tuple(sorted(seeds))


def split(texts: Sequence[str]) -> list[str]:
    """Split the values of a repeatable option at their commas."""
    return [part.strip() for text in texts for part in text.split(",")]


def machine(
    data_dir: Path | None,
    device: str | None,
    threads: int | None = None,
    tensorboard: bool | None = None,
    launcher: str | None = None,
    loggers: list[str] | None = None,
) -> dict[str, object]:
    """Return the fields of the machine section; None for an option that was not given."""
    from hypermnesia.data.download import given_folder  # slow to import

    folder = given_folder(data_dir)
    where = None if folder is None else str(folder)
    machine = {"device": device, "threads": threads, "data_dir": where, "tensorboard": tensorboard}
    return {**machine, "launcher": launcher, "loggers": named_loggers(loggers)}


def launcher_of(given: str | None, configs: Iterable[ExperimentConfig]) -> str | None:
    """Return the launcher that is named by the option or in a configuration; None for neither."""
    others = (config.machine.launcher for config in configs if config.machine.launcher != "local")
    return given or next(others, None)


def connect(
    launcher: str | None,
    address: str | None,
    jobs: int | None = None,
    *,
    early_stopping: bool = False,
) -> None:
    """Note where the cluster is that a launcher connects to.

    Raises `ConfigError` for an address or early stopping without a cluster, and for `jobs` without
    a launcher.
    """
    if early_stopping and launcher != "ray":
        rule, got = "--early-stopping needs a scheduler of Ray Tune", f"--launcher {launcher}"
        raise ConfigError(rule, got=got if launcher else "none", hint="add --launcher ray")
    if jobs is not None and launcher is None:
        rule, hint = "--jobs is for processes at a time", "add --launcher local, or ray"
        raise ConfigError(rule, got="one process", hint=hint)
    if address is not None and launcher != "ray":
        rule, hint = "--address is that of a Ray cluster", "add --launcher ray"
        raise ConfigError(rule, got=address, hint=hint)
    if address is not None:
        os.environ["RAY_ADDRESS"] = address


def named_loggers(given: list[str] | None) -> tuple[str, ...] | None:
    """Return the names of loggers, `none` left out; None if there is no such option."""
    return tuple(name for name in split(given) if name != "none") if given else None
