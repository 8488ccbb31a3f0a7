"""`hypermnesia tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hypermnesia.cli.options import (
    Assignments,
    Benchmark,
    DataDir,
    Device,
    Out,
    Recipe,
    Threads,
)
from hypermnesia.cli.seeds import parse_seeds


def tune_command(
    benchmark: Benchmark,
    grid: Annotated[
        list[str],
        typer.Option(
            metavar="SECTION.FIELD=VALUE,VALUE,...",
            help="Values to try; several of these options are all combined.",
        ),
    ],
    validation: Annotated[
        int, typer.Option(help="Samples of each task held out of the training data to judge by.")
    ],
    method: Annotated[str, typer.Option(help="See `list methods`.")] = "hnet",
    scenario: Annotated[str, typer.Option(help="task, domain or class.")] = "task",
    seeds: Annotated[
        str, typer.Option(help="For example 100-102; other ones than those that are reported.")
    ] = "100",
    recipe: Recipe = None,
    assignments: Assignments = None,
    data_dir: DataDir = None,
    out: Out = Path("runs/tune"),
    device: Device = None,
    threads: Threads = None,
) -> None:
    """Try a grid of settings on validation samples; what was tried before is kept.

    For example:

    hypermnesia tune split-digits --validation 60 --grid optimizer.lr=1e-3,1e-2
    """
    from hypermnesia.cli.session import machine_options, watched  # torch is slow to import
    from hypermnesia.cli.tables import show_trials
    from hypermnesia.data.scenarios import scenario_name
    from hypermnesia.experiments.resolve import Request
    from hypermnesia.experiments.run import run_all
    from hypermnesia.experiments.tune import TrialPlace, judged, trials

    asked = scenario_name(scenario)
    request = Request(
        benchmark,
        methods=[method],
        scenario=asked,
        seeds=parse_seeds(seeds),
        recipe=recipe,
        assignments=assignments or (),
        options={"machine": machine_options(data_dir, device, threads)},
    )
    chosen, place = trials(request, grid, validation), TrialPlace(out)
    configs = [trial.config for trial in chosen]
    summaries = watched(
        lambda watch: run_all(configs, place, watch),
        lambda: "interrupted; the same command goes on",
    )
    show_trials(chosen, judged(chosen, summaries), asked)
