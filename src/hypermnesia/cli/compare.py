"""`hypermnesia compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hypermnesia.cli.seeds import parse_seeds


def compare_command(
    benchmarks: Annotated[
        str, typer.Argument(help="One, or several with commas; see `list benchmarks`.")
    ],
    method: Annotated[
        list[str], typer.Option(help="One, or several with commas; see `list methods`.")
    ] = ["hnet", "finetune"],  # noqa: B006 (typer reads the default, nothing changes it)
    scenario: Annotated[
        list[str],
        typer.Option(help="One, or several with commas; a method skips those it cannot do."),
    ] = ["task", "domain", "class"],  # noqa: B006
    seeds: Annotated[str, typer.Option(help="For example 0-2 or 0,3,5-7.")] = "0",
    recipe: Annotated[
        str | None, typer.Option(help="See `list recipes`; each benchmark's default otherwise.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Override a field; repeatable."),
    ] = None,
    tasks: Annotated[int | None, typer.Option(help="Number of tasks.")] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of data files; or set HYPERMNESIA_DATA.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for run folders and the report.")] = Path(
        "runs"
    ),
    name: Annotated[str, typer.Option(help="Name of the report's files.")] = "comparison",
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes at a time; as many as cores otherwise."),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or auto.")] = None,
    train: Annotated[
        bool, typer.Option("--train/--no-train", help="Train, or show what is finished.")
    ] = True,
) -> None:
    """Train methods on benchmarks in scenarios, several processes at a time, and compare them.

    What is finished is kept and what was interrupted goes on: the same command again continues.
    Ends with 1 if a training failed.

    Example: hypermnesia compare split-digits --method hnet,finetune,joint --seeds 0-2
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
        options={"data": {"tasks": tasks}, "machine": machine_options(data_dir, device)},
    )
    compare_and_show(plan(question), compared, out, name, jobs, train=train)
