"""Unknown-task inference by lowest entropy: samples a second, batched and one by one.

Batched is one call of `predict` of `hnet-ent`. One by one is what the paper's code does:
for every sample, each task's weights are made and its network run. That is timed on a few samples,
with our networks, whose answers must be the same, and with hypnettorch's, in the order of the
authors' `test` (github.com/chrhenning/hypercl, mnist/train_splitMNIST.py: a pass to learn the
width of the output, one for each task, one for the answer) and with torch's allocator as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor

from benchmarks.ours import add_untrained, build_method
from benchmarks.peer import build_networks
from benchmarks.spec import CannotMeasure, Spec
from hypermnesia.data.benchmarks import make_tasks
from hypermnesia.experiments.build import benchmark_settings
from hypermnesia.hypernet.memory import WeightMemory
from hypermnesia.inference import EntropySettings, entropy, in_doubt
from hypermnesia.methods.inferred import HypernetEntropy
from hypermnesia.precision import Precision
from hypermnesia.training.pack import unpack
from hypermnesia.training.resources import keep_freed_memory

_PRECISIONS: tuple[Precision, ...] = ("float32", "bf16")

Answers = tuple[Tensor, Tensor]
"""(batch,) task and class of each sample, the class counted within its task."""


def infer_batched(method: HypernetEntropy, x: Tensor) -> Answers:
    """Every sample through every task's network, whose weights are made once."""
    prediction = method.predict(x, scenario="domain")
    return cast(Tensor, prediction.tasks), prediction.scores.argmax(-1)


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
    spec: Spec, tasks: int, weights: Path | None, precision: Precision = "float32"
) -> HypernetEntropy:
    """`hnet-ent` with the weights of a finished run of `hnet`, or with untrained ones."""
    build = partial(HypernetEntropy, inference=EntropySettings())
    method = build_method(spec, "closed", precision, method=build)
    if weights is None:
        add_untrained(method, tasks, spec.outputs)
        return method
    with safe_open(weights, framework="pt") as file:  # type: ignore[no-untyped-call]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state = unpack(json.loads(file.metadata()["state"]), tensors)
    method.load_state_dict({**state, "spreads": []})  # hnet has no calibration
    return method


def _timed(action: Callable[[], Any], samples: int) -> tuple[float, Any]:
    """Samples a second, and what came of it."""
    start = time.perf_counter()
    found = action()
    return samples / (time.perf_counter() - start), found


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.inference", description=__doc__)
    add = parser.add_argument
    add("--tasks", type=int, default=10)
    add("--samples", type=int, default=10_000)
    add("--one-by-one", type=int, default=100, help="samples timed one by one")
    add("--weights", type=Path, help="weights.safetensors of a run of hnet with the same recipe")
    add("--recipe", default="paper", help="of perm-mnist")
    add("--outputs", type=int, default=10)
    add("--threads", type=int, default=1)
    add("--precision", choices=_PRECISIONS, default="float32", help="of batched inference")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time all ways and compare the answers of ours."""
    options = _arguments(arguments)
    torch.set_num_threads(options.threads)
    sizes = {"recipe": options.recipe, "outputs": options.outputs}
    spec = Spec("closed", options.tasks - 1, **sizes)
    method = trained_or_not(spec, options.tasks, options.weights, options.precision)
    x, what = images(spec, options.tasks, options.samples)
    few = x[torch.linspace(0, len(x) - 1, options.one_by_one).long()]
    print(f"{options.tasks} tasks, {len(x):,} {what}, {options.threads} thread(s)")

    peer = _peer_rate(spec, options.tasks, few)
    keep_freed_memory()  # as our commands do
    infer_batched(method, few)  # what is done once, such as starting threads
    method.all_tasks.forget()
    fast, _ = _timed(lambda: infer_batched(method, x), len(x))
    slow, answers = _timed(lambda: infer_one_by_one(method.memory, few), len(few))
    agree = [a == b for a, b in zip(infer_batched(method, few), answers, strict=True)]
    same = int(torch.stack(agree).all(0).sum())
    print(f"batched, {options.precision}: {fast:,.0f} samples a second")
    if options.precision == "bf16":
        _print_doubt(method, x[torch.linspace(0, len(x) - 1, min(2000, len(x))).long()])
    print(f"one by one, our networks: {slow:.2f} samples a second, {fast / slow:.0f} times fewer;")
    print(f"  same task and class for {same} of {len(few)}")
    if peer is not None:
        print(f"one by one, hypnettorch: {peer:.2f} a second, {fast / peer:.0f} times fewer")


def _print_doubt(method: HypernetEntropy, few: Tensor) -> None:
    """How far bf16 is off, and how often that leaves a doubt."""
    exact, rough = (entropy(method.all_tasks(few, precision)) for precision in _PRECISIONS)
    doubtful = 100 * float(in_doubt(rough).any(dim=0).float().mean())
    error = 100 * float((rough / exact - 1).abs().flatten().quantile(0.999))
    print(
        f"  settled in float32: {doubtful:.1f} % of {len(few):,} samples; "
        f"99.9 % of the entropies in bf16 are less than {error:.0f} % off"
    )


def _peer_rate(spec: Spec, tasks: int, few: Tensor) -> float | None:
    """Samples a second of the authors' loop; None where hypnettorch is missing."""
    try:
        networks = build_networks(spec.config(), few[0].numel(), spec.outputs, tasks)
    except CannotMeasure as reason:
        print(f"one by one, hypnettorch: left out, {reason}")
        return None
    return _timed(lambda: peer_one_by_one(networks, tasks, few), len(few))[0]


if __name__ == "__main__":
    main()
