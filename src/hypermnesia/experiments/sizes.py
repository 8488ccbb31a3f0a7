"""Numbers kept by finished trainings, those of earlier versions among them."""

from __future__ import annotations

import torch

from hypermnesia.data.benchmarks import BENCHMARKS
from hypermnesia.data.types import Part, Task
from hypermnesia.evidence.autoencoders import sampler_of
from hypermnesia.experiments.config import ExperimentConfig, identity
from hypermnesia.experiments.run import method_of
from hypermnesia.methods import Method, TaskSpec
from hypermnesia.seeding import Generators
from hypermnesia.training.evaluation import TrainResult

_WEIGHTS: dict[str, float] = {}  # of a target network, by the identity of a run


def numbers_kept(config: ExperimentConfig, result: TrainResult) -> float:
    """Numbers kept for all tasks; of a result that did not note them, from its compression."""
    if result.kept is not None:
        return result.kept
    key = identity(config)
    if key not in _WEIGHTS:
        method = untrained(config)
        _WEIGHTS[key] = method.kept / method.compression()
    return float(round(result.compression * _WEIGHTS[key]))


def untrained(config: ExperimentConfig) -> Method:
    """The method of a run with all of its tasks, of which it has seen no sample."""
    benchmark = BENCHMARKS[config.benchmark]
    x = torch.zeros(1, *benchmark.sample_shape(config.data.padding))
    part = Part(x, torch.zeros(1, dtype=torch.int64), 0)
    task = Task(0, "blank", benchmark.classes[0], part, None, part)
    method = method_of(config, task, Generators(0), torch.device("cpu"))
    for index in range(config.tasks):
        method.begin_task(TaskSpec(benchmark.classes[min(index, len(benchmark.classes) - 1)], 1))
        if sampler_of(method) is not None:  # it looks back at the task before
            method.end_task(())
    return method
