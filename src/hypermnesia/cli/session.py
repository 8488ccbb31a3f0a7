"""What the commands share: progress while they train, tables at the end, Ctrl-C."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from hypermnesia.cli.tables import show, show_comparison
from hypermnesia.compute import keep_freed_memory
from hypermnesia.data.download import given_folder
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.compare import Cell, carry_out, filled
from hypermnesia.experiments.launch import cores
from hypermnesia.experiments.results import RunSummary
from hypermnesia.experiments.run import Watch, check_file_name
from hypermnesia.experiments.run_folder import RunFolder
from hypermnesia.report.comparison import Comparison, check_files, write_files
from hypermnesia.training.observers import (
    ObserverGroup,
    StopTraining,
    Terminated,
    Termination,
    interrupt_on_sigterm,
)
from hypermnesia.training.progress import progress_display


def train_and_show(
    folders: Sequence[Path],
    work: Callable[[Watch], Sequence[RunSummary]],
    scenario: ScenarioName | None = None,
) -> None:
    """Do the `work` that fills `folders`, then show what came out, in `scenario` or in all."""
    show(watched(work, lambda: _how_to_go_on(folders)), scenario)


def watched(
    work: Callable[[Watch], Sequence[RunSummary]], how_to_go_on: Callable[[], str]
) -> Sequence[RunSummary]:
    """Do the `work` and show its progress; where it is interrupted, say how to go on."""
    keep_freed_memory()
    termination = Termination()
    try:
        with interrupt_on_sigterm(termination.request), progress_display() as display:
            return work(
                lambda config, seed: ObserverGroup(
                    display(f"{config.method} seed {seed}"), termination
                )
            )
    except (KeyboardInterrupt, StopTraining) as stopped:
        raise _exit(stopped, how_to_go_on()) from None


def compare_and_show(
    cells: Sequence[Cell],
    make: Callable[[Sequence[Cell]], Comparison],
    out: Path,
    name: str,
    jobs: int | None,
    *,
    train: bool,
) -> None:
    """Train what the `cells` need, then show and write the comparison that `make` makes of them.

    Args:
        cells: the plan.
        make: filled cells -> comparison.
        out: where run folders and the comparison go.
        name: of the comparison's files.
        jobs: processes at a time; None for one on each core.
        train: or only show what is finished.
    """
    check_file_name(name)
    check_files(out, name)
    if not train and not out.is_dir():
        raise ConfigError(
            "--no-train shows the runs of a folder",
            got=f"{out}, which is none",
            cure="name it with --out",
        )
    try:
        failed = carry_out(cells, out, jobs or cores(), _say) if train else {}
    except KeyboardInterrupt as stopped:
        raise _exit(stopped, "interrupted; the same command goes on from here") from None
    comparison = make(filled(cells, out))
    show_comparison(comparison)
    typer.echo(", ".join(map(str, write_files(comparison, out, name))))
    for job, reason in failed.items():
        typer.echo(f"failed: {job}: {reason}", err=True)
    if failed:
        raise typer.Exit(1)


def _exit(stopped: BaseException, how_to_go_on: str) -> typer.Exit:
    """The end that Ctrl-C, or a request to terminate, asked for; the code is the shell's for it."""
    typer.echo(how_to_go_on, err=True)
    number = signal.SIGTERM if isinstance(stopped, Terminated | StopTraining) else signal.SIGINT
    return typer.Exit(128 + number)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def split(texts: Sequence[str]) -> list[str]:
    """Names that were typed with commas, in options that were repeated, or both."""
    return [part.strip() for text in texts for part in text.split(",")]


def machine_options(
    data_dir: Path | None,
    device: str | None,
    threads: int | None = None,
    tensorboard: bool | None = None,
) -> dict[str, object]:
    """The machine section that options describe."""
    folder = given_folder(data_dir)
    where = None if folder is None else str(folder)
    return {"device": device, "threads": threads, "data_dir": where, "tensorboard": tensorboard}


def _how_to_go_on(folders: Sequence[Path]) -> str:
    begun = [folder for folder in folders if RunFolder(folder).config.is_file()]
    if not begun:
        return "interrupted before training began"
    commands = [f"hypermnesia resume {shlex.quote(str(folder))}" for folder in begun]
    return f"interrupted; go on with: {' && '.join(commands)}"
