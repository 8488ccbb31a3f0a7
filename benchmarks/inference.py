"""Unknown-task inference by lowest entropy: samples a second, batched and one by one.

One by one is what the paper's code does: for every sample, each task's weights are made and its
network run. It is timed on a few samples; the answers must agree on those.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from benchmarks.ours import add_untrained, build_method
from benchmarks.spec import BENCHMARK, Spec
from hypermnesia.data.benchmarks import make_tasks
from hypermnesia.experiments.build import benchmark_settings
from hypermnesia.hypernet.memory import WeightMemory

Answers = tuple[Tensor, Tensor]
"""(batch,) task and class of each sample."""

_SLICE = 1000  # samples at a time: bounds the activations of all tasks' networks


def entropy(scores: Tensor) -> Tensor:
    """Entropy of the softmax over the last axis, safe where a probability is 0."""
    log_p = scores.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


@torch.no_grad()
def infer_batched(memory: WeightMemory, x: Tensor) -> Answers:
    """Every sample through every task's network, whose weights are made once."""
    weights = torch.stack([memory.weights(task) for task in range(memory.tasks)])
    tasks, classes = [], []
    for part in torch.split(x, _SLICE):
        scores = memory.target.each(weights, part, layout=memory.layouts[0], buffers=memory.buffers)
        best = entropy(scores).argmin(0)
        tasks.append(best)
        classes.append(scores[best, torch.arange(len(part))].argmax(-1))
    return torch.cat(tasks), torch.cat(classes)


@torch.no_grad()
def infer_one_by_one(memory: WeightMemory, x: Tensor) -> Answers:
    """A pass of the hypernetwork and of its target network for every sample and task."""
    tasks, classes = [], []
    for sample in torch.split(x, 1):
        scores = [memory.run(task, sample, training=False) for task in range(memory.tasks)]
        best = int(torch.stack([entropy(s[0]) for s in scores]).argmin())
        tasks.append(best)
        classes.append(int(scores[best].argmax()))
    return torch.tensor(tasks), torch.tensor(classes)


def images(spec: Spec, count: int) -> tuple[Tensor, str]:
    """MNIST test images where HYPERMNESIA_DATA names a folder, else random ones."""
    if os.environ.get("HYPERMNESIA_DATA"):
        part = make_tasks(BENCHMARK, benchmark_settings(spec.config()), seed=0)[0].test
        return part.batch(torch.arange(min(count, len(part)))).x, "MNIST test images"
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, *spec.shape(), generator=generator), "random images"


def _timed(
    infer: Callable[[WeightMemory, Tensor], Answers], *inputs: object
) -> tuple[float, Answers]:
    start = time.perf_counter()
    answers = infer(*inputs)  # type: ignore[arg-type]
    return time.perf_counter() - start, answers


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--one-by-one", type=int, default=30, help="samples timed one by one")
    parser.add_argument("--recipe", default="paper", help="of perm-mnist")
    parser.add_argument("--outputs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time both ways and compare their answers."""
    options = _arguments(arguments)
    torch.set_num_threads(options.threads)
    spec = Spec("closed", options.tasks - 1, options.recipe, options.outputs)
    method = build_method(spec, "closed")
    add_untrained(method, options.tasks, options.outputs)
    x, what = images(spec, options.samples)
    few = x[: options.one_by_one]

    infer_batched(method.memory, few)  # what is done once, such as starting threads
    seconds, (tasks, classes) = _timed(infer_batched, method.memory, x)
    slow_seconds, (slow_tasks, slow_classes) = _timed(infer_one_by_one, method.memory, few)
    fast, slow = len(x) / seconds, len(few) / slow_seconds
    same = (tasks[: len(few)] == slow_tasks) & (classes[: len(few)] == slow_classes)
    print(f"{options.tasks} tasks, {what}, {options.threads} thread(s)")
    print(f"batched: {fast:,.0f} samples a second ({len(x):,} in {seconds:.2f} s)")
    print(f"one by one: {slow:.2f} samples a second (timed on {len(few)}, so scaled)")
    print(f"ratio: {fast / slow:.0f}; same task and class for {int(same.sum())} of {len(few)}")


if __name__ == "__main__":
    main()
