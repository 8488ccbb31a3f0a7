"""Commands that train: run, resume, compare, reproduce, tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hypermnesia.cli import options
from hypermnesia.registry import unknown_name


def run_command(
    benchmark: options.Benchmark,
    method: options.Methods = ["hnet"],  # noqa: B006 (typer reads the default, nothing changes it)
    scenario: options.Scenario = None,
    seeds: options.Seeds = "0",
    recipe: options.Recipe = None,
    assignments: options.Assignments = None,
    tasks: options.Tasks = None,
    class_order: options.ClassOrder = None,
    data_dir: options.DataDir = None,
    out: options.Out = Path("runs"),
    name: Annotated[str | None, typer.Option(help="Name of the run folder.")] = None,
    overwrite: options.Redo = False,
    precision: options.Precision = None,
    compiled: options.Compile = False,
    device: options.Device = None,
    threads: options.Threads = None,
    tensorboard: options.Tensorboard = None,
    logger: options.Loggers = None,
    launcher: options.Launcher = None,
    address: options.Address = None,
    jobs: options.Jobs = None,
) -> None:
    """Train methods on a benchmark and compare them; a run that exists is continued.

    For example:

    hypermnesia run split-digits --method hnet,finetune --seeds 0-2

    hypermnesia run split-digits --set regularizer.beta=0.1 --name strong

    hypermnesia run split-mnist --method hnet-lik --scenario class --tensorboard
    """
    from hypermnesia.cli.terminal import launch_and_show, session, show  # torch is slow to import
    from hypermnesia.data.scenarios import scenario_name
    from hypermnesia.experiments.resolve import Request, resolve
    from hypermnesia.experiments.run import Place, run_all

    shown = None if scenario is None else scenario_name(scenario)
    request = Request(
        benchmark,
        methods=options.split(method),
        scenario=shown or "task",
        seeds=options.parse_seeds(seeds),
        recipe=recipe,
        assignments=[*(assignments or ()), *_compute(precision, compiled)],
        options={
            "data": {"tasks": tasks, "class_order": class_order},
            "machine": options.machine(data_dir, device, threads, tensorboard, launcher, logger),
        },
    )
    configs = resolve(request)
    launcher = options.launcher_of(launcher, configs)
    options.connect(launcher, address, jobs)
    place = Place(out, name, overwrite)
    if launcher is not None:
        launch_and_show(configs, place, jobs, shown)
        return
    with session([place.folder(config) for config in configs]) as watch:
        summaries = run_all(configs, place, watch)
    show(summaries, shown)


def _compute(precision: str | None, compiled: bool) -> list[str]:
    """Return the options as settings: a method that cannot use one then refuses it."""
    settings = [] if precision is None else [f"compute.precision={precision}"]
    return [*settings, "compute.compile=true"] if compiled else settings


def resume_command(
    run: options.Run,
    seeds: Annotated[
        str | None, typer.Option(help="Only these of the run's seeds, for example 0-2.")
    ] = None,
    data_dir: options.MovedData = None,
    device: options.Device = None,
    threads: options.Threads = None,
    tensorboard: options.Tensorboard = None,
    logger: options.Loggers = None,
) -> None:
    """Finish an interrupted run, with the numbers it would have had without interruption.

    For example:

    hypermnesia resume runs/split-digits_hnet_task
    """
    from hypermnesia.cli.terminal import session, show  # torch is slow to import
    from hypermnesia.data.download import user_path
    from hypermnesia.experiments.run import resume

    folder = None if data_dir is None else str(user_path(data_dir))
    given: dict[str, Any] = {"device": device, "threads": threads, "tensorboard": tensorboard}
    given |= {"data_dir": folder, "loggers": options.named_loggers(logger)}
    changes = {name: value for name, value in given.items() if value is not None}
    chosen = None if seeds is None else options.parse_seeds(seeds)
    with session([run]) as watch:
        summary = resume(run, watch, changes, chosen)
    show([summary])


def compare_command(
    benchmarks: Annotated[
        str, typer.Argument(help="One, or several with commas; see `list benchmarks`.")
    ],
    method: options.Methods = ["hnet", "finetune"],  # noqa: B006 (typer reads the default, nothing changes it)
    scenario: Annotated[
        list[str],
        typer.Option(help="One, or several with commas; a method skips those it does not support."),
    ] = ["task", "domain", "class"],  # noqa: B006
    seeds: options.Seeds = "0",
    recipe: options.Recipe = None,
    assignments: options.Assignments = None,
    tasks: options.Tasks = None,
    data_dir: options.DataDir = None,
    out: options.Out = Path("runs"),
    name: options.TablesName = None,
    jobs: options.Jobs = None,
    device: options.Device = None,
    tensorboard: options.Tensorboard = None,
    logger: options.Loggers = None,
    train: options.Train = True,
    launcher: options.Launcher = None,
    address: options.Address = None,
    sizes: options.Sizes = False,
) -> None:
    """Train methods on benchmarks in scenarios, several processes at a time, and compare them.

    Finished runs are kept and interrupted ones go on: the same command again continues.
    The exit code is 1 if a training failed.

    For example:

    hypermnesia compare split-digits --method hnet,finetune,joint --seeds 0-2

    hypermnesia compare split-digits --method ranpac,patches --scenario class --sizes
    """
    from hypermnesia.cli.terminal import compare_and_show
    from hypermnesia.experiments.compare import Question, plan
    from hypermnesia.report.comparison import method_tables

    question = Question(
        benchmarks=options.split([benchmarks]),
        scenarios=options.split(scenario),
        methods=options.split(method),
        seeds=options.parse_seeds(seeds),
        recipe=recipe,
        assignments=assignments or (),
        sizes=sizes,
        options={
            "data": {"tasks": tasks},
            "machine": options.machine(
                data_dir, device, tensorboard=tensorboard, launcher=launcher, loggers=logger
            ),
        },
    )
    cells = plan(question)
    configs = [cell.config for cell in cells if cell.config]
    options.connect(options.launcher_of(launcher, configs), address)
    files = "_".join(["comparison", *question.benchmarks]) if name is None else name
    compare_and_show(cells, method_tables, out, files, jobs, train=train)


_TABLES = ("table1",)


def reproduce_command(
    table: Annotated[str, typer.Argument(metavar="table1", help="Which table of the paper.")],
    quick: Annotated[
        bool, typer.Option("--quick", help="Small digits and short trainings: a first look.")
    ] = False,
    seeds: Annotated[
        str | None, typer.Option(help="For example 0-2; 0-4 otherwise, 0 if --quick.")
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="paper or best; each benchmark's default otherwise.")
    ] = None,
    data_dir: options.DataDir = None,
    out: options.Out = Path("runs"),
    jobs: options.Jobs = None,
    device: options.Device = None,
    train: options.Train = True,
    launcher: options.Launcher = None,
    address: options.Address = None,
) -> None:
    """Print a table of the paper with published value, our value and the difference.

    Like `compare`: finished runs in --out are kept, interrupted ones go on. The exit code is 1 if a
    training failed.

    For example:

    hypermnesia reproduce table1 --quick
    """
    if table not in _TABLES:
        raise unknown_name("table to reproduce", table, _TABLES)
    from hypermnesia.cli.terminal import compare_and_show
    from hypermnesia.errors import ConfigError
    from hypermnesia.experiments.compare import plan
    from hypermnesia.report.comparison import table1, table1_question

    if quick and recipe is not None:
        raise ConfigError(
            "--quick has a recipe of its own", got=f"--recipe {recipe}", hint="leave one out"
        )
    chosen = options.parse_seeds(seeds or ("0" if quick else "0-4"))
    options.connect(launcher, address)
    machine = options.machine(data_dir, device, launcher=launcher)
    cells = plan(table1_question(chosen, recipe, machine, quick=quick))
    name = "table1-quick" if quick else "table1"
    compare_and_show(cells, table1, out, name, jobs, train=train)


def tune_command(
    benchmark: options.Benchmark,
    grid: options.Grid,
    validation: options.Validation,
    method: Annotated[str, typer.Option(help="See `list methods`.")] = "hnet",
    scenario: Annotated[str, typer.Option(help="task, domain or class.")] = "task",
    seeds: Annotated[
        str, typer.Option(help="For example 100-102; not the seeds you will report.")
    ] = "100",
    recipe: options.Recipe = None,
    assignments: options.Assignments = None,
    data_dir: options.DataDir = None,
    out: options.Out = Path("runs/tune"),
    device: options.Device = None,
    threads: options.Threads = None,
    launcher: options.Launcher = None,
    address: options.Address = None,
    jobs: options.Jobs = None,
    early_stopping: options.EarlyStopping = False,
) -> None:
    """Try a grid of settings on validation samples; finished trials are kept.

    For example:

    hypermnesia tune split-digits --validation 60 --grid optimizer.lr=1e-3,1e-2
    """
    from hypermnesia.cli.terminal import launch_trials, session, show_trials  # slow to import
    from hypermnesia.data.scenarios import scenario_name
    from hypermnesia.experiments.compare import TrialPlace, judged, trials
    from hypermnesia.experiments.resolve import Request
    from hypermnesia.experiments.run import run_all

    evaluated = scenario_name(scenario)
    request = Request(
        benchmark,
        methods=[method],
        scenario=evaluated,
        seeds=options.parse_seeds(seeds),
        recipe=recipe,
        assignments=assignments or (),
        options={"machine": options.machine(data_dir, device, threads, launcher=launcher)},
    )
    chosen, place = trials(request, grid, validation), TrialPlace(out)
    configs = [trial.config for trial in chosen]
    launcher = options.launcher_of(launcher, configs)
    options.connect(launcher, address, jobs, early_stopping=early_stopping)
    if launcher is not None:
        launch_trials(chosen, place, jobs, evaluated, early_stopping=early_stopping)
        return
    with session() as watch:
        summaries = run_all(configs, place, watch)
    show_trials(chosen, judged(chosen, summaries), evaluated)
