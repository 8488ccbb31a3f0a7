"""Data: sources, benchmarks, scenarios and streams of mini-batches."""

from hypermnesia.data.benchmarks import BENCHMARKS, make_tasks
from hypermnesia.data.scenarios import Scenario
from hypermnesia.data.settings import BenchmarkSettings
from hypermnesia.data.sources import SOURCES, load
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
