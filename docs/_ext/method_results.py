"""Results of a method, from the finished runs that are stored beside the documents."""

from __future__ import annotations

from collections.abc import Iterator

from kept_results import mean_text, summaries

from hypermnesia.experiments.results import RunSummary

_HEADING = (
    "| benchmark | recipe | scenario | accuracy, % | BWT | numbers kept | seeds |",
    "|---|---|---|---|---|---|---|",
)


def results(method: str) -> str:
    """Tabulate the method's finished runs, or say that there are none."""
    of_method = (summary for summary in summaries() if summary.config.method == method)
    rows = [row for summary in of_method for row in _rows(summary)]
    if not rows:
        return "No finished run is kept yet. [Results](../results.md) has what was measured so far."
    table = "\n".join([*_HEADING, *rows])
    return (
        "On the test set after the last task, mean ± standard error. BWT: what later tasks took "
        "from earlier ones; numbers kept: over the weights of one target network.\n\n"
        f"{table}\n\n[Results](../results.md) has commands, commits, machine and published figures."
    )


def _rows(summary: RunSummary) -> Iterator[str]:
    config = summary.config
    kept = summary.figures["compression"]["mean"]
    changed = ", changed" if config.recipe.changed else ""
    for scenario, figures in summary.scenarios.items():
        accuracy, transfer = (mean_text(figures[name]) for name in ("acc", "bwt"))
        yield (
            f"| {config.benchmark} | {config.recipe.name}{changed} | {scenario} | {accuracy} | "
            f"{transfer} | {kept:.2f} | {figures['acc']['n']} |"
        )
