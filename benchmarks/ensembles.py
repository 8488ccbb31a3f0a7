"""Drawn networks beside networks trained alone: calibrated, and unsure of tasks they do not know?

The first tasks of a benchmark are learned, as many that follow are shown. `hnet-bayes` makes a few
networks of each learned task from one hypernetwork, `hnet-ent` one; beside them one network a task
is trained alone, or `members` are. The mean prediction of a task's networks answers. Prints a line
of JSON a seed and way: numbers kept; accuracy, calibration error (ECE) and negative log-likelihood
of samples whose task is named; tasks inferred by the lowest entropy, in percent; and the AUROC of
that entropy, samples of learned tasks against those of the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.few_shot import network, numbers, taught
from hypermnesia.data.benchmarks import BENCHMARKS, BenchmarkSettings, make_tasks
from hypermnesia.data.types import Batch, Task
from hypermnesia.evidence.entropy import EntropySettings, entropy
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.noise import NoiseSettings, averaged
from hypermnesia.methods import build_method
from hypermnesia.metrics import auroc, calibration_error, reliability_bins
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators

_SCHEDULE = {0.5: 0.3, 0.75: 0.1, 0.9: 0.03}
AllLogits = Callable[[Tensor], Tensor]
"""(batch, *sample) inputs -> (tasks, batch, classes) logits of the learned tasks' networks."""


def method_of(name: str, shape: Sequence[int], outputs: int, given: Any, seed: int) -> Any:
    """A method by name, untrained."""
    template = network(shape, given.hidden, outputs, seed)
    rate = 1e-3 if name == "separate" else given.rate
    adam = OptimizerSettings(lr=rate, schedule=_SCHEDULE)
    features = tuple(given.features)
    hypernet = HypernetSettings(
        features, 32, 16, "elu", "hyperfan", "even", given.chunk, embedding_start="mean"
    )
    noise = NoiseSettings(
        draws=given.draws,
        kl=given.kl,
        prior_scale=given.prior_scale,
        log_variance=given.log_variance,
    )
    sections = {
        "hypernet": hypernet,
        "regularizer": RegularizerSettings(beta=given.beta),
        "optimizer": adam,
        "embedding_optimizer": OptimizerSettings(lr=1e-2, schedule=_SCHEDULE),
        "noise": noise,
        "inference": EntropySettings(outliers=given.outliers),
    }
    own: dict[str, Any] = {"generators": Generators(seed), "device": torch.device("cpu")}
    own |= {"sample_shape": tuple(shape), "criterion": F.cross_entropy}
    scenario = "task" if name == "separate" else "class"
    return build_method(name, template, scenario, sections, **own)  # type: ignore[arg-type]


def all_logits(methods: Sequence[Any], tasks: int) -> AllLogits:
    """The mean prediction of trained methods: of their networks of each task."""

    def of_one(method: Any, x: Tensor) -> Tensor:
        if hasattr(method, "all_tasks"):
            found: Tensor = method.all_tasks(x)
            return found
        return torch.stack([method.predict(x, task).logits for task in range(tasks)])

    def answer(x: Tensor) -> Tensor:
        every = torch.stack([of_one(method, x) for method in methods])
        return averaged(every, 0, values=False)

    return answer


def batch_of(task: Task, given: Any) -> Batch:
    """What is asked of a task: test samples or, where some are held out, those."""
    part = task.validation if given.validation and task.validation else task.test
    return part.batch(torch.arange(min(given.samples, len(part))))


@torch.no_grad()
def measured(logits: AllLogits, tasks: Sequence[Task], known: int, given: Any) -> dict[str, float]:
    """How good the answers to samples of tasks are, of which `known` are learned."""
    named, inferred, surest = [], [], []
    for task in tasks:
        batch = batch_of(task, given)
        found = logits(batch.x).double()
        uncertain, chosen = entropy(found).min(dim=0)
        surest.append(-uncertain)
        if task.index < known:
            inferred.append((chosen == task.index).double())
            named.append((found[task.index].log_softmax(-1), batch.y))
    log_p, y = (torch.cat(each) for each in zip(*named, strict=True))
    confidence, answers = log_p.max(dim=1)
    right = (answers == y).double()
    bins = reliability_bins(confidence.exp().numpy(), right.numpy())
    own, others = (torch.cat(each).numpy() for each in (surest[:known], surest[known:]))
    return {
        "accuracy": 100 * float(right.mean()),
        "ece": calibration_error(bins),
        "nll": float(F.nll_loss(log_p, y)),
        "inferred": 100 * float(torch.cat(inferred).mean()),
        "auroc": auroc(own, others),
    }


def run(given: Any, seed: int) -> None:
    """Print the lines of a seed."""
    settings = BenchmarkSettings(tasks=2 * given.tasks, validation=given.validation)
    tasks = make_tasks(given.benchmark, settings, seed)
    outputs, shape = tasks[0].outputs, BENCHMARKS[given.benchmark].sample_shape()
    alone = "separate"
    ways = {"hnet-bayes": ["hnet-bayes"], "hnet-ent": ["hnet-ent"], "one alone": [alone]}
    ways[f"{given.members} alone"] = [alone] * given.members

    @cache
    def trained(name: str, member: int) -> Any:
        own = seed + 1000 * member
        method = method_of(name, shape, outputs, given, own)
        iterations = given.alone if name == alone else given.iterations
        for task in tasks[: given.tasks]:
            taught(method, [task.train], outputs, given, own, iterations)
        return method

    for way, names in ways.items():
        if way not in (given.ways or ways):
            continue
        methods = [trained(name, member) for member, name in enumerate(names)]
        found = measured(all_logits(methods, given.tasks), tasks, given.tasks, given)
        about = {"benchmark": given.benchmark, "seed": seed, "way": way}
        about |= {"outliers": given.outliers, "kept": sum(method.kept for method in methods)}
        print(json.dumps(about | {n: round(v, 4) for n, v in found.items()}), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--benchmark", default="perm-digits")
    add("--seeds", type=numbers, default=[0])
    add("--ways", type=lambda words: words.split(","), help="all by default")
    add("--tasks", type=int, default=5, help="learned, and as many shown")
    add("--draws", type=int, default=10, help="networks of a task that hnet-bayes draws")
    add("--members", type=int, default=5, help="networks of a task that are trained alone")
    add("--iterations", type=int, default=1200, help="a task, of the hypernetworks")
    add("--alone", type=int, default=1500, help="of a network alone")
    add("--batch", type=int, default=64)
    add("--validation", type=int, default=0, help="held out of each task, and asked instead")
    add("--samples", type=int, default=2000, help="most that are asked of a task")
    add("--hidden", type=numbers, default=[100])
    add("--features", type=numbers, default=[100], help="of the hypernetwork")
    add("--chunk", type=int, default=800)
    add("--beta", type=float, default=0.1)
    add("--rate", type=float, default=2e-3, help="step size of θ; of networks alone 0.001")
    add("--outliers", choices=["shuffled"], help="what the hypernetworks learn to be unsure of")
    add("--kl", type=float, default=1e-6)
    add("--prior-scale", type=float, default=1.0)
    add("--log-variance", type=float, default=-4.0)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for seed in given.seeds:
        run(given, seed)


if __name__ == "__main__":
    main()
