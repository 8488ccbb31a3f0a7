"""A grid of settings, tried on held-out validation samples: where values of recipes come from."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hypermnesia.errors import ConfigError
from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.identity import identity
from hypermnesia.experiments.resolve import Request, resolve
from hypermnesia.experiments.results import RunSummary, results_of, summary_of
from hypermnesia.experiments.run import Place

_OUTSIDE_BRACKETS = re.compile(r",(?![^\[{]*[\]}])")


@dataclass(frozen=True)
class Trial:
    """One point of a grid.

    Attributes:
        settings: its `section.field=value` texts, one for each axis.
        config: what they resolve to.
    """

    settings: tuple[str, ...]
    config: ExperimentConfig


@dataclass(frozen=True)
class TrialPlace(Place):
    """A folder for each point, named by what was run, so that a grid can be widened."""

    out: Path = Path("runs/tune")

    def folder(self, config: ExperimentConfig) -> Path:
        """The run folder of `config`."""
        method = f"{config.benchmark}_{config.method}_{config.scenario}"
        return self.out / method / identity(config)[:16]


def points(axes: Sequence[str]) -> list[tuple[str, ...]]:
    """Every combination of `section.field=value,value,...` axes, as settings.

    Commas inside brackets belong to a value.

    Raises:
        ConfigError: no axis, a field twice, or an axis without values.
    """
    if not axes:
        raise ConfigError("a grid has one axis or more", got="none", cure="add --grid")
    settings: dict[str, list[str]] = {}
    for axis in axes:
        field, _, text = (part.strip() for part in axis.partition("="))
        values = [value.strip() for value in _OUTSIDE_BRACKETS.split(text)]
        if "" in values or field in settings:
            raise ConfigError(
                "an axis of a grid must name a field once, and its values",
                got=f"'{axis}'",
                cure="write for example --grid penalty.strength=1,10,100",
            )
        settings[field] = [f"{field}={value}" for value in values]
    return list(itertools.product(*settings.values()))


def judged(trials: Sequence[Trial], summaries: Sequence[RunSummary]) -> list[RunSummary]:
    """`summaries` over the seeds of the trials alone.

    Some points may have been tried with more seeds before; means over different seeds say
    little of the settings.
    """
    found = []
    for trial, summary in zip(trials, summaries, strict=True):
        results = results_of(summary.folder, trial.config, trial.config.seeds)
        found.append(summary_of(summary.folder, trial.config, results))
    return found


def trials(request: Request, axes: Sequence[str], validation: int) -> list[Trial]:
    """What is to be run: `request`, for one method, at every point of the grid.

    Args:
        request: the settings that all points share.
        axes: see `points`.
        validation: samples of each task that are held out of the training data, and on which
            accuracy is measured, whatever else is set. The test set is not looked at.

    Raises:
        ConfigError: settings that cannot work, or two points that are the same run.
    """
    held_out = (f"data.validation={validation}", "data.evaluate_on=validation")
    found: dict[str, Trial] = {}
    for point in points(axes):
        assignments = (*request.assignments, *point, *held_out)
        (config,) = resolve(replace(request, assignments=assignments))
        if (key := identity(config)) in found:
            raise ConfigError(
                "the points of a grid must be different runs",
                got=f"{' '.join(point)} and {' '.join(found[key].settings)}",
                cure="leave one of them out",
            )
        found[key] = Trial(point, config)
    return list(found.values())
