"""What `run` and `resume` share: progress while they train, tables at the end, Ctrl-C."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from hypermnesia.cli.progress import watching
from hypermnesia.cli.tables import show
from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.experiments.results import RunSummary
from hypermnesia.experiments.run import Watch
from hypermnesia.experiments.run_folder import RunFolder
from hypermnesia.training.resources import keep_freed_memory


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
    try:
        with watching() as watch:
            return work(watch)
    except KeyboardInterrupt:
        typer.echo(how_to_go_on(), err=True)
        raise typer.Exit(130) from None


def _how_to_go_on(folders: Sequence[Path]) -> str:
    begun = [folder for folder in folders if RunFolder(folder).config.is_file()]
    if not begun:
        return "interrupted before training began"
    commands = [f"hypermnesia resume {shlex.quote(str(folder))}" for folder in begun]
    return f"interrupted; go on with: {' && '.join(commands)}"
