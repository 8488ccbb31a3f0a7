"""Three ways to infer the task of samples by lowest entropy, with the same networks.

Batched is one call of `predict` of `hnet-ent`. One by one is what the paper's code does: for every
sample, each task's weights are made and its network run; with our networks, and with hypnettorch's
in the order of the authors' `test` (github.com/chrhenning/hypercl, mnist/train_splitMNIST.py: one
pass to learn the width of the output, one for each task, one for the answer).
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor

from benchmarks.ours import add_untrained, build_method
from benchmarks.spec import Spec
from hypermnesia.compute import Screen
from hypermnesia.data.benchmarks import make_tasks
from hypermnesia.evidence.entropy import EntropySettings, entropy
from hypermnesia.experiments.run import benchmark_settings
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.methods import HypernetWith
from hypermnesia.methods.hnet import HypernetMethod
from hypermnesia.state_files import unpack

Answers = tuple[Tensor, Tensor]
"""(batch,) task and class of each sample, the class counted within its task."""


def infer_batched(method: HypernetMethod, x: Tensor) -> Answers:
    """Every sample through every task's network, whose weights are made once."""
    prediction = method.predict(x, scenario="domain")
    return cast(Tensor, prediction.tasks), prediction.logits.argmax(-1)


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


@torch.no_grad()
def peer_one_by_one(networks: Any, tasks: int, x: Tensor) -> None:
    """The authors' loop with hypnettorch's networks, which have weights of their own."""
    main, hypernet = networks

    def scores(sample: Tensor, task: int) -> Tensor:
        found: Tensor = main.forward(sample, hypernet.forward(cond_id=task))[0]
        return found

    for sample in torch.split(x.flatten(1), 1):
        scores(sample, 0)
        uncertain = [entropy(scores(sample, task)) for task in range(tasks)]
        int(scores(sample, int(torch.stack(uncertain).argmin())).argmax())


def images(spec: Spec, tasks: int, count: int) -> tuple[Tensor, str]:
    """Test images, as many of each task, where HYPERMNESIA_DATA names a folder; else random."""
    if os.environ.get("HYPERMNESIA_DATA"):
        made = make_tasks(spec.benchmark, benchmark_settings(spec.config()), seed=0)[:tasks]
        parts = [task.test.batch(torch.arange(count // tasks)).x for task in made]
        return torch.cat(parts), "MNIST test images"
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, *spec.shape(), generator=generator), "random images"


def trained_or_not(
    spec: Spec, tasks: int, weights: Path | None, screen: Screen | None = None
) -> HypernetMethod:
    """`hnet-ent` with the weights of a finished run of `hnet`, or with untrained ones."""
    build = partial(HypernetWith("entropy"), inference=EntropySettings(screen=screen))
    method = build_method(spec, "closed", method=build)
    if weights is None:
        add_untrained(method, tasks, spec.outputs)
        return method
    with safe_open(weights, framework="pt") as file:  # type: ignore[no-untyped-call]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state = unpack(json.loads(file.metadata()["state"]), tensors)
    method.load_state_dict(
        {**state, "evidence": {"spreads": [], "task": 0}}
    )  # hnet has no calibration
    return method
