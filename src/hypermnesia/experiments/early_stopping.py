"""Points of a grid that are stopped early: asynchronous successive halving, by Ray Tune.

After so many tasks only the better third of the points that came so far goes on: Li et al. 2020, "A
system for massively parallel hyperparameter tuning" (ASHA), arXiv 1810.05934. A point is as good as
its mean validation figure over the tasks seen, and is compared with others after as many tasks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from types import SimpleNamespace
from typing import Any

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.errors import ConfigError
from hypermnesia.experiments.compare import made_ready
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.launch import Job, Say
from hypermnesia.experiments.launch_ray import ray_package, run_jobs
from hypermnesia.experiments.run_folder import RunFolder

_GRACE = 2  # tasks that every point learns
_FACTOR = 3  # of the points, and of the tasks, from one look to the next


class Halving:
    """A `Judge` of points after each task.

    Args:
        tasks: how many a point learns.
        scenario: the one whose figures count.
        grace: tasks that every point learns.
        factor: one of so many goes on.

    Raises:
        ConfigError: no task is left to save.
    """

    def __init__(
        self, tasks: int, scenario: ScenarioName, grace: int = _GRACE, factor: float = _FACTOR
    ) -> None:
        if tasks <= grace:
            rule = f"early stopping looks after {grace} tasks and later, and needs more of them"
            raise ConfigError(rule, got=f"{tasks} tasks", hint="leave --early-stopping out")
        ray_package()
        from ray.tune.schedulers import ASHAScheduler, TrialScheduler

        self.tasks, self.scenario = tasks, scenario
        own: dict[str, Any] = {"time_attr": "tasks", "metric": "figure", "mode": "max"}
        own |= {"max_t": tasks, "grace_period": grace, "reduction_factor": factor}
        self._scheduler, self._stop = ASHAScheduler(**own), TrialScheduler.STOP
        self._seen: dict[Job, int] = {}  # tasks after which a job was looked at
        self.stopped: dict[Job, str] = {}

    def __call__(self, job: Job) -> str | None:
        """Look at the tasks that a job has learned by now; why it is to be stopped, or None."""
        trial: Any = SimpleNamespace(trial_id=str(job.folder))
        if job not in self._seen:
            self._seen[job] = 0
            self._scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
        for figure in figures_so_far(job, self.scenario)[self._seen[job] :]:
            self._seen[job] += 1
            if (learned := self._seen[job]) == self.tasks:
                break
            result = {"tasks": learned, "figure": figure}
            if self._scheduler.on_trial_result(None, trial, result) == self._stop:  # type: ignore[arg-type]
                self.stopped[job] = f"stopped early, after task {learned} of {self.tasks}"
                return self.stopped[job]
        return None


def figures_so_far(job: Job, scenario: ScenarioName) -> list[float]:
    """The mean accuracy (of values: minus the mean error) on all tasks seen, after each task."""
    log = RunFolder(job.folder).seed(job.seed).metrics
    found: dict[int, float] = {}
    for line in log.read_bytes().splitlines() if log.is_file() else ():
        try:
            entry = json.loads(line)
        except ValueError:  # cut off
            break
        if entry["kind"] == "evaluation" and entry["scenario"] == scenario:
            errors = entry.get("mse")
            figure = fmean(entry["accuracy"]) if errors is None else -fmean(errors)
            found[entry["task"]] = figure
    return [found[task] for task in sorted(found)]


def train_halving(
    runs: Mapping[Path, ExperimentConfig], scenario: ScenarioName, workers: int | None, say: Say
) -> tuple[dict[Job, str], dict[Path, str]]:
    """Train the points of a grid, by folder, on Ray; those that look worse are stopped early.

    The first seed of a point is looked at. Points that it survives are trained with the others.
    Returns the trainings that failed, and the points that were stopped, each with the reason.
    Raises `ConfigError` for tasks too few to stop before their end.
    """
    for config in runs.values():
        if (every := config.train.evaluate_every) != 1:
            rule = "early stopping compares accuracies on all tasks seen, after every task"
            got = f"train.evaluate_every={every}"
            raise ConfigError(rule, got=got, hint="leave it out, or --early-stopping")
    judge = Halving(min(config.tasks for config in runs.values()), scenario)
    first = {Job(path, config.seeds[0]) for path, config in runs.items()}
    jobs = made_ready(runs, say)
    for job in first - {*jobs}:
        judge(job)  # is finished, and a measure for the others
    racing = [job for job in jobs if job in first]
    failed = run_jobs(racing, workers or len(racing), say, judge)
    out = {job.folder for job in failed}
    others = _others(jobs, first, out)
    failed |= run_jobs(others, workers or len(others), say) if others else {}
    stopped = {job.folder: reason for job, reason in judge.stopped.items() if job in failed}
    return {job: reason for job, reason in failed.items() if job.folder not in stopped}, stopped


def _others(jobs: Sequence[Job], first: set[Job], out: set[Path]) -> list[Job]:
    """The seeds that are left of the points that go on."""
    return [job for job in jobs if job not in first and job.folder not in out]
