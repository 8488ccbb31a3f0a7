"""The page: its parts, laid into the template."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader, StrictUndefined

from hypermnesia import __version__
from hypermnesia.experiments.metrics_table import LEGEND, SPREAD
from hypermnesia.experiments.report.collect import CollectedRun
from hypermnesia.experiments.report.sections import alone, comparisons, question
from hypermnesia.experiments.report.shown import shown


def html_page(runs: Sequence[CollectedRun], command: str) -> str:
    """The page about `runs`, one or more, that `command` asked for.

    Raises:
        ConfigError: a run whose method cannot do what its configuration says.
    """
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        title=f"Learned one after another: {', '.join(dict.fromkeys(map(question, runs)))}",
        missing=[(run.label, line) for run in runs for line in run.missing],
        comparisons=comparisons(runs),
        runs=[alone(run, f"run-{position}") for position, run in enumerate(runs, start=1)],
        legend=LEGEND,
        spread=SPREAD,
        command=shown(command, 4000),
        version=__version__,
        now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
