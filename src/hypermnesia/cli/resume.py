"""`hypermnesia resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hypermnesia.cli.options import Device, Tensorboard, Threads
from hypermnesia.cli.seeds import parse_seeds


def resume_command(
    run: Annotated[Path, typer.Argument(help="The run folder, for example runs/NAME.")],
    seeds: Annotated[
        str | None, typer.Option(help="Of the run's seeds these only, for example 0-2.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of data files, where it has moved.")
    ] = None,
    device: Device = None,
    threads: Threads = None,
    tensorboard: Tensorboard = None,
) -> None:
    """Finish a run that was interrupted, with the numbers it would have had.

    For example:

    hypermnesia resume runs/split-digits_hnet_task
    """
    from hypermnesia.cli.session import train_and_show  # torch is slow to import
    from hypermnesia.data.files import user_path
    from hypermnesia.experiments.run import resume

    folder = None if data_dir is None else str(user_path(data_dir))
    machine = {"device": device, "threads": threads, "tensorboard": tensorboard}
    given = {"data_dir": folder, **machine}
    changes = {name: value for name, value in given.items() if value is not None}
    chosen = None if seeds is None else parse_seeds(seeds)
    train_and_show([run], lambda watch: [resume(run, watch, changes, chosen)])
