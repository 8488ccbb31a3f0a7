"""`hypermnesia compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hypermnesia.cli.options import (
    Assignments,
    DataDir,
    Device,
    Jobs,
    Methods,
    Out,
    Recipe,
    Seeds,
    Tasks,
    Tensorboard,
    Train,
)
from hypermnesia.cli.seeds import parse_seeds


def compare_command(
    benchmarks: Annotated[
        str, typer.Argument(help="One, or several with commas; see `list benchmarks`.")
    ],
    method: Methods = ["hnet", "finetune"],  # noqa: B006 (typer reads the default, nothing changes it)
    scenario: Annotated[
        list[str],
        typer.Option(help="One, or several with commas; a method skips those it cannot do."),
    ] = ["task", "domain", "class"],  # noqa: B006
    seeds: Seeds = "0",
    recipe: Recipe = None,
    assignments: Assignments = None,
    tasks: Tasks = None,
    data_dir: DataDir = None,
    out: Out = Path("runs"),
    name: Annotated[
        str | None,
        typer.Option(help="Name of the files with the tables; comparison_BENCHMARKS otherwise."),
    ] = None,
    jobs: Jobs = None,
    device: Device = None,
    tensorboard: Tensorboard = None,
    train: Train = True,
) -> None:
    """Train methods on benchmarks in scenarios, several processes at a time, and compare them.

    What is finished is kept and what was interrupted goes on: the same command again continues.
    Ends with 1 if a training failed.

    For example:

    hypermnesia compare split-digits --method hnet,finetune,joint --seeds 0-2
    """
    from hypermnesia.cli.session import compare_and_show, machine_options, split
    from hypermnesia.experiments.compare import Question, plan
    from hypermnesia.experiments.comparison import compared

    question = Question(
        benchmarks=split([benchmarks]),
        scenarios=split(scenario),
        methods=split(method),
        seeds=parse_seeds(seeds),
        recipe=recipe,
        assignments=assignments or (),
        options={
            "data": {"tasks": tasks},
            "machine": machine_options(data_dir, device, tensorboard=tensorboard),
        },
    )
    files = "_".join(["comparison", *question.benchmarks]) if name is None else name
    compare_and_show(plan(question), compared, out, files, jobs, train=train)
