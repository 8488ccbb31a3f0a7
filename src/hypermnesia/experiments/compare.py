"""Comparisons and grids: many runs, and what came out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import torch

from hypermnesia import metrics
from hypermnesia.data.scenarios import ScenarioName, scenario_name
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config import (
    ExperimentConfig,
    first_difference,
    identity,
    run_scenario,
)
from hypermnesia.experiments.launch import LAUNCHERS, Job, Say, cores
from hypermnesia.experiments.resolve import Request, resolve, resolve_one
from hypermnesia.experiments.results import RunSummary, results_of, scenario_figures, summary_of
from hypermnesia.experiments.run import Place, rehearse, run_name
from hypermnesia.experiments.run_folder import RunFolder, opened
from hypermnesia.experiments.sizes import numbers_kept
from hypermnesia.methods import METHODS
from hypermnesia.metrics import Summary
from hypermnesia.training.phases import Measure


@dataclass(frozen=True)
class Question:
    """What to compare, all by name; each method must do a scenario. See `Request` for the rest.

    `sizes` adds the methods at the sizes that their entries name.
    """

    benchmarks: Sequence[str]
    scenarios: Sequence[str]
    methods: Sequence[str]
    seeds: Sequence[int]
    recipe: str | None = None
    assignments: Sequence[str] = ()
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sizes: bool = False


@dataclass(frozen=True)
class Cell:
    """What a method reached in a scenario of a benchmark.

    Attributes:
        config: of the run that answers for it; None if the method cannot do the scenario.
        figures: by finished seed of `config`, the figures by name.
        other: where the run in its place has another configuration, the first difference.
        measure: what the figure `acc` is the mean of.
        size: the settings that make the method smaller or larger than its recipe says, if any.
    """

    benchmark: str
    scenario: ScenarioName
    method: str
    config: ExperimentConfig | None
    figures: Mapping[int, Mapping[str, float]] = field(default_factory=dict)
    other: str | None = None
    measure: Measure = "accuracy"
    size: str = ""

    @property
    def label(self) -> str:
        """The method and its size."""
        return f"{self.method} {self.size}".strip()

    @property
    def wanted(self) -> int:
        """Number of seeds, finished or not."""
        return 0 if self.config is None else len(self.config.seeds)

    def over_seeds(self, figure: str = "acc") -> Summary:
        """Mean and standard error of a figure over the finished seeds; NaN without any."""
        return metrics.over_seeds(
            [values.get(figure, math.nan) for values in self.figures.values()]
        )


def plan(question: Question) -> list[Cell]:
    """Every cell, still empty; raises `ConfigError` for a method that does no scenario of them."""
    scenarios = [scenario_name(name) for name in question.scenarios]
    named = {"benchmark": question.benchmarks, "scenario": scenarios, "method": question.methods}
    for kind, names in named.items():
        if len(set(names)) != len(names):
            raise ConfigError(f"a {kind} can be named once", got=", ".join(names))
    for method in question.methods:
        if not set(scenarios) & set(METHODS[method].scenarios):
            run_scenario(method, scenarios[0])  # says what the method can do
    own = ("methods", "seeds", "recipe", "assignments", "options")
    shared: Any = {name: getattr(question, name) for name in own}
    cells = []
    for benchmark, method, scenario in product(question.benchmarks, question.methods, scenarios):
        request = Request(benchmark, scenario=scenario, **shared)
        able = scenario in METHODS[method].scenarios
        config = resolve_one(request, method, request.assigned()) if able else None
        cells.append(Cell(benchmark, scenario, method, config))
        for size in METHODS[method].sizes if question.sizes and able else ():
            sized = replace(request, assignments=(*request.assignments, *size.split()))
            other = resolve_one(sized, method, sized.assigned())
            if first_difference(other, cast(ExperimentConfig, config)) is not None:
                cells.append(Cell(benchmark, scenario, method, other, size=size))
    return cells


def _folder(cell: Cell, config: ExperimentConfig, out: Path) -> Path:
    """Where a cell's run is: of other sizes than the recipe's, in the folder `sizes`."""
    place = TrialPlace(out / "sizes") if cell.size else Place(out)
    return place.folder(config)


def carry_out(cells: Sequence[Cell], out: Path, workers: int | None, say: Say) -> dict[Job, str]:
    """Train what the `cells` need and is not finished; see `train_all`."""
    runs = {_folder(cell, cell.config, out): cell.config for cell in cells if cell.config}
    return train_all(runs, workers, say)


def train_all(
    runs: Mapping[Path, ExperimentConfig],
    workers: int | None,
    say: Say,
    *,
    overwrite: bool = False,
) -> dict[Job, str]:
    """Train every seed of runs, by folder, that is not finished, by their launchers.

    Returns the trainings that failed, each with the reason. What a user can mend is raised before
    the first training begins, where it can be known by then. At a time there are as many `workers`,
    by default one a core; of a cluster all that it has.
    """
    left = made_ready(runs, say, overwrite=overwrite)
    failed: dict[Job, str] = {}
    for name in dict.fromkeys(runs[job.folder].machine.launcher for job in left):
        jobs = [job for job in left if runs[job.folder].machine.launcher == name]
        failed |= LAUNCHERS[name](jobs, workers or at_once(name, jobs), say)
    return failed


def at_once(launcher: str, jobs: Sequence[Job]) -> int:
    """How many jobs a launcher is given at a time where nobody says: what the machine can do."""
    return len(jobs) if launcher == "ray" else cores()


def made_ready(
    runs: Mapping[Path, ExperimentConfig], say: Say, *, overwrite: bool = False
) -> list[Job]:
    """What is left to train of runs, by folder, which are tried and have their configuration."""
    for name in dict.fromkeys(config.machine.launcher for config in runs.values()):
        getattr(LAUNCHERS[name], "check", lambda: None)()
    left = {
        path: config.seeds if overwrite else RunFolder(path).unfinished(config.seeds)
        for path, config in runs.items()
    }
    jobs = [Job(path, seed) for path, seeds in left.items() for seed in seeds]
    unfinished = [path for path, seeds in left.items() if seeds]
    say(f"checking {len(unfinished)} runs, then {len(jobs)} trainings")
    for path in unfinished:
        rehearse(_triable(runs[path]))
    for path, config in runs.items():
        with opened(path, config, overwrite=overwrite):
            pass  # it is this very run, and its processes find its configuration there
    return jobs


def _triable(config: ExperimentConfig) -> ExperimentConfig:
    """`config` as it can be tried here: the GPU may be that of another node."""
    elsewhere = config.machine.launcher != "local" and config.machine.device == "cuda"
    if not elsewhere or torch.cuda.is_available():
        return config
    return config.model_copy(update={"machine": replace(config.machine, device="cpu")})


def filled(cells: Sequence[Cell], out: Path) -> list[Cell]:
    """The `cells` with the figures of the seeds that are finished by now."""
    return [_filled(cell, cell.config, out) if cell.config else cell for cell in cells]


def _filled(cell: Cell, config: ExperimentConfig, out: Path) -> Cell:
    folder = RunFolder(_folder(cell, config, out))
    stored = folder.read_config() if folder.config.is_file() else config
    if (other := first_difference(config, stored)) is not None:
        return replace(cell, other=other)
    seeds = [seed for seed in folder.finished_seeds() if seed in config.seeds]
    results = results_of(folder, config, seeds)
    figures = {
        seed: scenario_figures(each, cell.scenario) | {"kept": numbers_kept(config, each)}
        for seed, each in results.items()
    }
    measure = next((each.measure for each in results.values()), cell.measure)
    return replace(cell, figures=figures, measure=measure)


_OUTSIDE_BRACKETS = re.compile(r",(?![^\[{]*[\]}])")


@dataclass(frozen=True)
class Trial:
    """One point of a grid: `section.field=value` for each axis, and what they resolve to."""

    settings: tuple[str, ...]
    config: ExperimentConfig


@dataclass(frozen=True)
class TrialPlace(Place):
    """A folder for each point, named by what was run, so that a grid can be widened."""

    out: Path = Path("runs/tune")

    def folder(self, config: ExperimentConfig) -> Path:
        """The run folder of `config`."""
        return self.out / run_name(config) / identity(config)[:16]


def points(axes: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination of `field=value,value,...` axes (not split in brackets); raises if bad."""
    if not axes:
        raise ConfigError("a grid has one axis or more", got="none", hint="add --grid")
    settings: dict[str, list[str]] = {}
    for axis in axes:
        field, _, text = (part.strip() for part in axis.partition("="))
        values = [value.strip() for value in _OUTSIDE_BRACKETS.split(text)]
        if "" in values or field in settings:
            rule = "an axis of a grid must name a field once, and its values"
            hint = "write for example --grid penalty.strength=1,10,100"
            raise ConfigError(rule, got=f"'{axis}'", hint=hint)
        settings[field] = [f"{field}={value}" for value in values]
    return list(product(*settings.values()))


def judged(trials: Sequence[Trial], summaries: Sequence[RunSummary]) -> list[RunSummary]:
    """`summaries` over the trials' own seeds, as means over different ones say little."""
    pairs = [(s.folder, trial.config) for trial, s in zip(trials, summaries, strict=True)]
    return [summary_of(*run, results_of(*run, run[1].seeds)) for run in pairs]


def trials(request: Request, axes: Sequence[str], validation: int) -> list[Trial]:
    """What is to be run: `request`, for one method, at every point; raises for one twice.

    Accuracy is measured on `validation` held-out training samples of a task, never the test set.
    """
    held_out = (f"data.validation={validation}", "data.evaluate_on=validation")
    found: dict[str, Trial] = {}
    for point in points(axes):
        assignments = (*request.assignments, *point, *held_out)
        (config,) = resolve(replace(request, assignments=assignments))
        if (key := identity(config)) in found:
            got = f"{' '.join(point)} and {' '.join(found[key].settings)}"
            rule = "the points of a grid must be different runs"
            raise ConfigError(rule, got=got, hint="leave one of them out")
        found[key] = Trial(point, config)
    return list(found.values())
