"""What an iteration costs with adapters of 1, 10, 100 and 1,000 tasks in one hypernetwork.

MiniLM with LoRA of rank 4 on query and value; all tasks but the last have never been trained, which
costs as much. Prints a line of JSON for each number of tasks: milliseconds of processor time of an
iteration, the median of several, and what the process holds.

    python -m benchmarks.many_adapters --tasks 1 10 100 1000
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.texts import Sentence
from hypermnesia import lora
from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.learner.adapters import blank_knowledge
from hypermnesia.learner.settings import LearnerSettings

BATCH = 16


def resident() -> float:
    """MiB that the process holds in memory."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1024


def batch_of(tokens: int) -> Batch:
    """Random ids."""
    ids = torch.randint(1000, 20_000, (BATCH, tokens))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return Batch(inputs, torch.randint(2, (BATCH,)), torch.zeros(BATCH, dtype=torch.int64))


def method_with(tasks: int) -> Any:
    """A method of so many tasks, the last of which is in training."""
    settings = LearnerSettings(infer_task=None, start="pretrained")
    model = lora(Sentence(2), 4, ["query", "value"])
    method: Any = blank_knowledge(model, settings, torch.device("cpu")).method
    for _ in range(tasks - 1):
        method.memory.add_task(2, method.generators)
    method.scenario = replace(method.scenario, heads=(2,) * (tasks - 1))
    method.begin_task(TaskSpec(2, 1000))
    return method


def main() -> None:
    """Print a line for each number of tasks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--iterations", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    batch = batch_of(given.tokens)
    for tasks in given.tasks:
        method, seconds = method_with(tasks), []
        method.update(batch)
        for _ in range(given.iterations):
            begun = time.process_time()
            method.update(batch)
            seconds.append(time.process_time() - begun)
        found = {"tasks": tasks, "ms": round(1000 * statistics.median(seconds), 1)}
        found |= {"least ms": round(1000 * min(seconds), 1), "MiB": round(resident())}
        print(json.dumps({**found, "kept": method.memory.kept}), flush=True)


if __name__ == "__main__":
    main()
