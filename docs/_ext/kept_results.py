"""The finished runs whose results are stored beside the documents."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from hypermnesia.experiments.results import RunSummary, results_of, summary_of
from hypermnesia.experiments.run_folder import RunFolder

_RESULTS = Path(__file__).parents[1] / "results"


@cache
def summaries() -> tuple[RunSummary, ...]:
    """Summarise each run over its finished seeds."""
    found = []
    for path in sorted(path for path in _RESULTS.iterdir() if path.is_dir()):
        folder = RunFolder(path)
        config = folder.read_config()
        found.append(
            summary_of(folder, config, results_of(folder, config, folder.finished_seeds()))
        )
    return tuple(found)


def mean_text(figure: dict[str, float]) -> str:
    """Return `mean ± standard error` over seeds; "-" where there is no mean."""
    if figure["mean"] is None:  # no transfer where all tasks are learned at once
        return "-"
    spread = "" if figure["sem"] is None else f" ± {figure['sem']:.2f}"
    return f"{figure['mean']:.2f}{spread}"
