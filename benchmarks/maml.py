"""MAML on sine waves, beside `benchmarks.few_shot --benchmark sine`, and asked the same waves.

Finn et al. 2017 (arXiv 1703.03400), section 5.1: a network of two layers of 40 rectified units, an
inner step of 0.01 on k points, Adam over meta-batches of 25 waves. They draw new waves in every
iteration; `--waves 30` gives it only those that `few_shot` learns, all at once. Prints a line of
JSON a seed: the mean squared error on the test points of the unseen waves, after so many steps.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, grad, vmap

from benchmarks.few_shot import network, numbers
from hypermnesia.data.benchmarks import BenchmarkSettings, make_tasks
from hypermnesia.data.types import Task
from hypermnesia.seeding import Generators

_BATCH, _INNER, _REACH = 25, 0.01, 5.0
Weights = dict[str, Tensor]


def drawn(tasks: Sequence[Task], k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """(waves, 2 k, 1) points and values of waves: of those given or, without any, of new ones."""
    if tasks:
        chosen = torch.randint(len(tasks), (_BATCH,), generator=generator).tolist()
        rows = torch.randint(len(tasks[0].train), (_BATCH, 2 * k), generator=generator)
        batches = [tasks[i].train.batch(own) for i, own in zip(chosen, rows, strict=True)]
        return torch.stack([b.x for b in batches]), torch.stack([b.y for b in batches])
    height, phase = torch.rand(2, _BATCH, 1, 1, generator=generator)
    x = _REACH * (2 * torch.rand(_BATCH, 2 * k, 1, generator=generator) - 1)
    return x, (0.1 + 4.9 * height) * torch.sin(x - math.pi * phase)


def run(given: Any, seed: int) -> None:
    """Print the line of a seed."""
    everything = make_tasks("sine", BenchmarkSettings(tasks=given.tasks + given.unseen), seed)
    seen = everything[: given.waves]
    net = network((1,), [40, 40], 1, seed)
    weights = {name: value.detach().requires_grad_() for name, value in net.named_parameters()}
    adam = torch.optim.Adam(weights.values(), 1e-3)
    k, generator = given.k, Generators(seed)["maml"]

    def loss(own: Weights, x: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(functional_call(net, own, (x,)), y)

    def adapted(own: Weights, x: Tensor, y: Tensor, steps: int = 1) -> Weights:
        for _ in range(steps):
            slopes = grad(loss)(own, x, y)
            own = {name: value - _INNER * slopes[name] for name, value in own.items()}
        return own

    def after(x: Tensor, y: Tensor) -> Tensor:
        return loss(adapted(weights, x[:k], y[:k]), x[k:], y[k:])

    for _ in range(given.iterations):
        adam.zero_grad()
        vmap(after)(*drawn(seen, k, generator)).mean().backward()
        adam.step()
    found: dict[int, list[float]] = {}
    samples = Generators(seed)[f"few/{k}"]  # the points that few_shot gives
    fixed = {name: value.detach() for name, value in weights.items()}
    for task in everything[given.tasks :]:
        batch = task.train.batch(torch.randperm(len(task.train), generator=samples)[:k])
        asked = task.test.batch(torch.arange(len(task.test)))
        for steps in given.steps:
            own = adapted(fixed, batch.x, batch.y, steps)
            found.setdefault(steps, []).append(float(loss(own, asked.x, asked.y)))
    means = {str(steps): round(statistics.mean(each), 3) for steps, each in found.items()}
    print(json.dumps({"seed": seed, "waves": given.waves, "k": k, "mse": means}), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--seeds", type=numbers, default=[0])
    add("--k", type=int, default=10)
    add("--tasks", type=int, default=30, help="before the unseen ones")
    add("--unseen", type=int, default=20)
    add("--waves", type=int, default=0, help="to learn from; 0: new ones in every iteration")
    add("--iterations", type=int, default=10_000)
    add("--steps", type=numbers, default=[1, 5, 10])
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for seed in given.seeds:
        run(given, seed)


if __name__ == "__main__":
    main()
