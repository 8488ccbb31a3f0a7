"""`hypermnesia run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hypermnesia.cli.options import (
    Assignments,
    Benchmark,
    DataDir,
    Device,
    Methods,
    Out,
    Recipe,
    Seeds,
    Tasks,
    Tensorboard,
    Threads,
)
from hypermnesia.cli.seeds import parse_seeds


def run_command(
    benchmark: Benchmark,
    method: Methods = ["hnet"],  # noqa: B006 (typer reads the default, nothing changes it)
    scenario: Annotated[
        str | None,
        typer.Option(
            help="task (the default), domain or class; CL1, TIL, 1 and so on do as well. A method "
            "that is trained once for all of them shows the one asked for, or all if none was."
        ),
    ] = None,
    seeds: Seeds = "0",
    recipe: Recipe = None,
    assignments: Assignments = None,
    tasks: Tasks = None,
    class_order: Annotated[
        int | None, typer.Option(help="Seed of a random order of the classes.", metavar="SEED")
    ] = None,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    name: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another run, or redo these seeds.")
    ] = False,
    precision: Annotated[
        str | None, typer.Option(help="float32 or bf16, of the network's products in training.")
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Train through torch.compile; pays for convolutions.")
    ] = False,
    device: Device = None,
    threads: Threads = None,
    tensorboard: Tensorboard = None,
) -> None:
    """Train methods on a benchmark and compare them; a run that exists is continued.

    For example:

    hypermnesia run split-digits --method hnet,finetune --seeds 0-2

    hypermnesia run split-digits --set regularizer.beta=0.1 --name strong

    hypermnesia run split-mnist --method hnet-lik --scenario class --tensorboard
    """
    # torch is slow to import
    from hypermnesia.cli.session import machine_options, split, train_and_show
    from hypermnesia.data.scenarios import scenario_name
    from hypermnesia.experiments.resolve import Request, resolve
    from hypermnesia.experiments.run import Place, run_all

    asked = None if scenario is None else scenario_name(scenario)
    request = Request(
        benchmark,
        methods=split(method),
        scenario=asked or "task",
        seeds=parse_seeds(seeds),
        recipe=recipe,
        assignments=[*(assignments or ()), *_compute(precision, compiled)],
        options={
            "data": {"tasks": tasks, "class_order": class_order},
            "machine": machine_options(data_dir, device, threads, tensorboard),
        },
    )
    configs = resolve(request)
    place = Place(out, name, overwrite)
    folders = [place.folder(config) for config in configs]
    train_and_show(folders, lambda watch: run_all(configs, place, watch), asked)


def _compute(precision: str | None, compiled: bool) -> list[str]:
    """Settings, so that a method that cannot use them refuses them."""
    settings = [] if precision is None else [f"compute.precision={precision}"]
    return [*settings, "compute.compile=true"] if compiled else settings
