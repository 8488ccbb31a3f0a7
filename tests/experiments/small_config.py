"""Small configurations for tests."""

from __future__ import annotations

from hypermnesia.experiments.config import ExperimentConfig
from hypermnesia.experiments.resolve import Request, resolve


def small(
    *assignments: str,
    method: str = "finetune",
    scenario: str = "task",
    seeds: tuple[int, ...] = (0,),
) -> ExperimentConfig:
    """Two tasks of digits, three iterations each."""
    short = ("train.iterations=3", "data.tasks=2", *assignments)
    (config,) = resolve(Request("split-digits", (method,), scenario, seeds, assignments=short))
    return config
