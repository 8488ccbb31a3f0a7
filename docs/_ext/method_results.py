"""Results of a method, from the finished runs that are stored beside the documents."""

from __future__ import annotations

from collections.abc import Iterator

from kept_results import mean_text, summaries

from hypermnesia.experiments.results import RunSummary

_HEADING = (
    "| benchmark | recipe | scenario | accuracy, % | BWT | seeds |",
    "|---|---|---|---|---|---|",
)


def results(method: str) -> str:
    """Tabulate the method's finished runs, or say that there are none."""
    of_method = (summary for summary in summaries() if summary.config.method == method)
    rows = [row for summary in of_method for row in _rows(summary)]
    if not rows:
        return "No finished run is kept yet. [Results](../results.md) has what was measured so far."
    table = "\n".join([*_HEADING, *rows])
    return (
        f"On the test set after the last task, mean ± standard error:\n\n{table}\n\n"
        "[Results](../results.md) has commands, commits, machine and published figures."
    )


def _rows(summary: RunSummary) -> Iterator[str]:
    config = summary.config
    changed = ", changed" if config.recipe.changed else ""
    for scenario, figures in summary.scenarios.items():
        accuracy, transfer = (mean_text(figures[name]) for name in ("acc", "bwt"))
        yield (
            f"| {config.benchmark} | {config.recipe.name}{changed} | {scenario} | {accuracy} | "
            f"{transfer} | {figures['acc']['n']} |"
        )
