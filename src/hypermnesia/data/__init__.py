"""Data: sources, benchmarks, scenarios and streams of mini-batches."""

from hypermnesia.data.augment import AUGMENTATIONS, Augment, flip_and_crop
from hypermnesia.data.benchmarks import BENCHMARKS, Benchmark, make_tasks
from hypermnesia.data.images import ImageData
from hypermnesia.data.scenarios import Scenario, ScenarioName, scenario_name
from hypermnesia.data.settings import BenchmarkSettings
from hypermnesia.data.sources import SOURCES, Source, load
from hypermnesia.data.stream import BatchStream
from hypermnesia.data.types import Batch, Part, Task, Transform

__all__ = [
    "AUGMENTATIONS",
    "BENCHMARKS",
    "SOURCES",
    "Augment",
    "Batch",
    "BatchStream",
    "Benchmark",
    "BenchmarkSettings",
    "ImageData",
    "Part",
    "Scenario",
    "ScenarioName",
    "Source",
    "Task",
    "Transform",
    "flip_and_crop",
    "load",
    "make_tasks",
    "scenario_name",
]
