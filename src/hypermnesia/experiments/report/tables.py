"""The tables of a report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hypermnesia import metrics
from hypermnesia.experiments.explain import settings_read
from hypermnesia.experiments.figures.canvas import seeds_told
from hypermnesia.experiments.metrics_table import metrics_table
from hypermnesia.experiments.report.collect import CollectedRun
from hypermnesia.experiments.report.shown import seeds_listed, shown
from hypermnesia.experiments.texts import TextTable
from hypermnesia.training.samples import spread_out

_MOST_TASKS = 20  # rows that a reader goes through; files have the rest
_MOST_FACTS, _MOST_MACHINES = 30, 4
_NONE = "-"


def results_table(runs: Sequence[CollectedRun]) -> TextTable:
    """The figures of `runs`, each with a finished seed or more, in each scenario."""
    rows = [(run.label, run.summary, name) for run in runs for name in run.summary.scenarios]
    title = "Accuracy, forgetting and cost: mean±standard error over n seeds"
    return metrics_table(title, rows)


def cost_table(runs: Sequence[CollectedRun]) -> TextTable:
    """Milliseconds an iteration of each task and, where known, seconds of its training."""
    costs = [_costs(run) for run in runs]
    tasks = max(map(len, costs))
    rows = [
        [str(task + 1), *(own[task] if 1 < len(own) > task else _NONE for own in costs)]
        for task in (spread_out(tasks, _MOST_TASKS) if tasks > 1 else ())
    ]
    if any(len(own) == 1 for own in costs):
        rows.append(["all at once", *(own[0] if len(own) == 1 else _NONE for own in costs)])
    title = "Milliseconds an iteration (seconds of training the task)"
    return TextTable(title, ["task", *(run.label for run in runs)], rows)


def matrix_tables(run: CollectedRun) -> Iterator[TextTable]:
    """The accuracy matrices of a run, unless they are too large to read."""
    for scenario, matrix in run.summary.matrices.items():
        if len(matrix) > _MOST_TASKS:
            continue
        title = f"Accuracy matrix, {scenario} scenario, %, mean of {seeds_told(len(run.results))}"
        headings = ["after task", *(f"task {j}" for j in range(1, len(matrix) + 1))]
        rows = [
            [str(i), *("" if math.isnan(value) else f"{value:.2f}" for value in row)]
            for i, row in enumerate(matrix, start=1)
        ]
        yield TextTable(title, headings, rows)


def settings_table(run: CollectedRun) -> TextTable:
    """The sections of the configuration that the method reads."""
    lines = {name: line[1:-1] for name, line in settings_read(run.config).items()}  # no braces
    rows = [[name, shown(line, 1000)] for name, line in lines.items()]
    return TextTable("Configuration", ["section", "settings"], rows)


def environment_table(run: CollectedRun) -> TextTable:
    """What trainings ran on: a row for each fact, a column for each machine that differs."""
    machines: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for seed, facts in run.environments.items():
        known = tuple((shown(name, 40), shown(fact)) for name, fact in facts.items())
        machines.setdefault(known[:_MOST_FACTS], []).append(seed)
    columns = [dict(machine) for machine in machines][:_MOST_MACHINES]
    seeds = [seeds_listed(own) for own in machines.values()][:_MOST_MACHINES]
    names = dict.fromkeys(name for column in columns for name in column)
    rows = [[name, *(column.get(name, "") for column in columns)] for name in names]
    some = f", {_MOST_MACHINES} of {len(machines)}" if len(machines) > _MOST_MACHINES else ""
    return TextTable(f"Environment{some}", ["fact", *seeds], rows)


def _costs(run: CollectedRun) -> list[str]:
    """For each phase of training: `milliseconds an iteration (seconds in all)`."""
    by_phase = zip(*(each.seconds_per_iteration for each in run.results.values()), strict=True)
    means = [metrics.over_seeds(seconds).mean for seconds in by_phase]
    iterations = run.config.train.iterations
    if iterations is None:  # epochs, whose length is in the data
        return [f"{1000 * seconds:.3g}" for seconds in means]
    if len(means) == 1:
        iterations *= run.config.data.tasks
    return [f"{1000 * seconds:.3g} ({seconds * iterations:.3g} s)" for seconds in means]
