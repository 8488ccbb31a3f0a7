"""Processor time of an iteration after some number of tasks, without evaluations between."""

from __future__ import annotations

import statistics
import time

import torch

from hypermnesia.data.benchmarks import make_tasks
from hypermnesia.data.stream import BatchStream
from hypermnesia.experiments.resolve import Request, resolve
from hypermnesia.experiments.run import benchmark_settings, method_of
from hypermnesia.methods.base import Method, TaskSpec
from hypermnesia.seeding import Generators

ROOM = "hypernet.chunk=4000"
"""The recipe's hypernetwork is for ten tasks; hundreds need more of it."""

_MEASURED = 100


def pace(tasks: int, at: list[int]) -> dict[int, float]:
    """Median milliseconds of processor time of an update within each of the tasks `at`, from 1.

    The hypernetwork has seen an update of every task before: what an update costs depends on their
    number and not on how well they were learned.
    """
    request = Request("perm-digits", ("hnet",), assignments=(f"data.tasks={tasks}", ROOM))
    (config,) = resolve(request)
    generators, device = Generators(0), torch.device("cpu")
    stream_of = make_tasks(config.benchmark, benchmark_settings(config), 0)
    method, found = method_of(config, stream_of[0], generators, device), {}
    for number, task in enumerate(stream_of, start=1):
        method.begin_task(TaskSpec(task.outputs, _MEASURED + 1))
        stream = BatchStream([task.train], config.train.batch_size, generators["batches"], None)
        method.update(stream.next())
        if number in at:
            spent = [_spent(method, stream) for _ in range(_MEASURED)]
            found[number] = 1000 * statistics.median(spent)
    return found


def _spent(method: Method, stream: BatchStream) -> float:
    begun = time.process_time()
    method.update(stream.next())
    return time.process_time() - begun
