"""Data: sources, benchmarks, scenarios and streams of mini-batches."""

from hypermnesia.data.benchmarks import BENCHMARKS, BenchmarkSettings, make_tasks
from hypermnesia.data.datasets import SOURCES, load
from hypermnesia.data.scenarios import Scenario
from hypermnesia.data.stream import BatchStream
from hypermnesia.data.types import Batch, Part, Task

__all__ = [
    "BENCHMARKS",
    "SOURCES",
    "Batch",
    "BatchStream",
    "BenchmarkSettings",
    "Part",
    "Scenario",
    "Task",
    "load",
    "make_tasks",
]
