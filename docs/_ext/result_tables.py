"""The tables of README and results: `python docs/_ext/result_tables.py` regenerates them.

A comment `<!-- results: BENCHMARK -->` in a document is followed by a table of that benchmark's
stored runs: methods by scenario, published values in brackets. The heading of the table in the
document determines the columns; `<!-- results: BENCHMARK METHOD,METHOD -->`, the rows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import get_args

from kept_results import mean_text, summaries

from hypermnesia.data.scenarios import ScenarioName
from hypermnesia.experiments.results import RunSummary, results_of
from hypermnesia.experiments.sizes import numbers_kept
from hypermnesia.report.comparison import METHOD_NAMES, numbers_text, published
from hypermnesia.storage import read_json

_OTHERS = ("ncm", "slda", "ranpac", "gen-classifier", "patches", "patch-sum", "hnet-sum")
_ROOT = Path(__file__).parents[2]
DOCUMENTS = tuple(_ROOT / p for p in ("README.md", "docs/results.md", "docs/concepts/scenarios.md"))
_TABLE = re.compile(
    r"<!-- results: (?P<benchmark>[\w-]+)(?P<methods> [\w,-]+)? -->\n\n"
    r"(?P<heading>\|.*\n\|[-|]+\|\n)(?P<rows>(\|.*\n)*)"
)


def filled(text: str) -> str:
    """Return `text` with the rows of its tables taken from the stored results.

    Raises:
        ValueError: if no table follows a comment.
    """
    new, tables = _TABLE.subn(_filled, text)
    if tables != text.count("<!-- results:"):
        raise ValueError(
            "a comment '<!-- results: ... -->' needs an empty line and a table after it"
        )
    return new


def _filled(table: re.Match[str]) -> str:
    heading, benchmark = table["heading"], table["benchmark"]
    columns = [cell.strip() for cell in heading.splitlines()[0].strip("|").split("|")]
    named = table["methods"] or ""
    lines = [f"<!-- results: {benchmark}{named} -->\n\n{heading}"]
    for runs in _by_method(benchmark):
        if named and runs[0].config.method not in named[1:].split(","):
            continue
        cells = [_COLUMNS[name](runs) for name in columns]
        lines.append(f"| {' | '.join(cells)} |\n")
    return "".join(lines)


def _by_method(benchmark: str) -> Iterator[list[RunSummary]]:
    of_it = [run for run in summaries() if run.config.benchmark == benchmark]
    for method in ("finetune", *METHOD_NAMES, *_OTHERS):
        if runs := [run for run in of_it if run.config.method == method]:
            yield runs


def _accuracy(scenario: ScenarioName, runs: list[RunSummary]) -> str:
    config = runs[0].config
    theirs = published().of(config.benchmark, config.method, scenario)
    others = "" if math.isnan(theirs) else f" ({theirs:.2f})"
    found = [run.scenarios[scenario]["acc"] for run in runs if scenario in run.scenarios]
    return mean_text(found[0]) + others if found else f"-{others}"


def _code(method: str) -> str:
    return f"**`{method}`**" if method.startswith("hnet") else f"`{method}`"


def _inferred(runs: list[RunSummary]) -> str:
    figures = [run.scenarios["class"]["task_inference"] for run in runs if "class" in run.scenarios]
    return f"{figures[0]['mean']:.2f}" if figures and figures[0]["mean"] is not None else ""


def _compression(runs: list[RunSummary]) -> str:
    return ", ".join(sorted({f"{run.figures['compression']['mean']:.3f}" for run in runs}))


def _kept(runs: list[RunSummary]) -> str:
    results = [
        (run.config, each)
        for run in runs
        for each in results_of(run.folder, run.config, run.folder.finished_seeds()).values()
    ]
    return numbers_text([numbers_kept(*each) for each in results])


def _commits(runs: list[RunSummary]) -> str:
    files = [file for run in runs for file in run.folder.path.glob("seed-*/environment.json")]
    return ", ".join(sorted({read_json(file)["commit"][:7] for file in files}))


def _extremes(values: list[float]) -> str:
    """The one value, or the least and the most, rounded to integers."""
    return " to ".join(f"{value:,.0f}" for value in dict.fromkeys((min(values), max(values))))


def _seeds(runs: list[RunSummary]) -> str:
    return _extremes([each["acc"]["n"] for run in runs for each in run.scenarios.values()])


def _seconds(runs: list[RunSummary]) -> str:
    return _extremes([run.figures["seconds"]["mean"] for run in runs])


_COLUMNS: dict[str, Callable[[list[RunSummary]], str]] = {
    "method": lambda runs: runs[0].config.method,
    "": lambda runs: _code(runs[0].config.method),
    **{name: partial(_accuracy, name) for name in get_args(ScenarioName)},
    "task inferred": _inferred,
    "compression": _compression,
    "numbers kept": _kept,
    "n": _seeds,
    "seconds": _seconds,
    "commits": _commits,
}


if __name__ == "__main__":
    for path in DOCUMENTS:
        path.write_text(filled(path.read_text("utf-8")), "utf-8")
