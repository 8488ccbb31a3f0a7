"""Networks for unseen tasks from k labelled samples, after a stream of other tasks.

A method, `hnet-data` or `hnet`, learns the first tasks of a benchmark one after another; those that
follow in the same sequence are unseen. Each gets k samples of its training data, and is asked its
test data. Beside it: the nearest old task's network, a network trained on all old tasks jointly and
fine-tuned on the k samples, and one trained on all data of the unseen task. Prints a line of JSON a
seed and k.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia.data.benchmarks import BENCHMARKS, BenchmarkSettings, make_tasks
from hypermnesia.data.stream import Augment, BatchStream, each_once, rotate
from hypermnesia.data.types import Batch, Part, Task
from hypermnesia.hypernet.network import HypernetSettings
from hypermnesia.hypernet.task_data import SupportSettings
from hypermnesia.methods import Method, TaskSpec, build_method
from hypermnesia.methods.adapting import AdaptSettings, How, adapt_task
from hypermnesia.optimizers import OptimizerSettings
from hypermnesia.regularization.output import RegularizerSettings
from hypermnesia.seeding import Generators

_CPU = torch.device("cpu")
_SCHEDULE = {0.5: 0.3, 0.75: 0.1, 0.9: 0.03}
Answer = Callable[[Tensor], Tensor]


def network(shape: Sequence[int], hidden: Sequence[int], outputs: int, seed: int) -> nn.Module:
    """A fully connected network."""
    widths = [torch.Size(shape).numel(), *hidden]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [part for a, b in pairwise(widths) for part in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(widths[-1], outputs))


def taught(
    method: Method,
    parts: Sequence[Part],
    outputs: int,
    given: Any,
    seed: int,
    iterations: int,
    augment: Augment | None = None,
) -> float:
    """Learn a task of these parts; returns the seconds that it took."""
    method.begin_task(TaskSpec(outputs, iterations))
    stream = BatchStream(parts, given.batch, Generators(seed)["batches"], augment)
    begun = time.perf_counter()
    for _ in range(iterations):
        method.update(stream.next())
    method.end_task(each_once(parts, 1000))
    return time.perf_counter() - begun


def joint_network(
    method: Any, seen: Sequence[Task], given: Any, seed: int, augment: Augment | None
) -> nn.Module:
    """A network that learned all tasks together."""
    for task in seen:
        method.begin_task(TaskSpec(task.outputs, given.joint))
    parts = [task.train for task in seen]
    stream = BatchStream(parts, 4 * given.batch, Generators(seed)["joint"], augment)
    for _ in range(given.joint):
        method.update(stream.next())
    network: nn.Module = method.export(0)
    return network


def answer_of(method: Method, task: int) -> Answer:
    """What a method answers to inputs of a task."""
    return lambda x: method.predict(x, task).logits


@torch.no_grad()
def score(answer: Answer, part: Part, most: int) -> float:
    """Percent right or, of values, the mean squared error, on so many samples at most."""
    batch = part.batch(torch.arange(min(most, len(part))))
    found = answer(batch.x)
    if batch.y.is_floating_point():
        return float(F.mse_loss(found, batch.y))
    return 100 * float((found.argmax(dim=1) == batch.y).float().mean())


def fine_tuned(joint: nn.Module, batch: Batch, criterion: Any, steps: int, lr: float) -> nn.Module:
    """A copy of a network after so many steps of Adam on a batch."""
    own = copy.deepcopy(joint).train()
    optimizer = torch.optim.Adam(own.parameters(), lr)
    for _ in range(steps):
        optimizer.zero_grad()
        criterion(own(batch.x), batch.y).backward()
        optimizer.step()
    return own.eval()


def drawn(part: Part, k: int, generator: torch.Generator, *, each: bool) -> Tensor:
    """Rows of k random samples or, if `each`, of so many of each class; of none twice."""
    order = torch.randperm(len(part), generator=generator)
    if not each:
        return order[:k]
    return torch.cat([order[part.y[order] == c][:k] for c in part.y.unique()])


def adapted(method: Any, batch: Batch, part: Part, given: Any) -> Iterator[tuple[str, float]]:
    """Scores of the network by each way, and milliseconds to make one by the encoder."""
    settings = AdaptSettings(given.steps, given.lr, given.prior)
    ways: Sequence[How] = get_args(How) if given.method == "hnet-data" else ("gradient",)
    for how in ways:
        begun = time.perf_counter()
        adapt_task(method, batch, (), how, settings)
        spent = 1000 * (time.perf_counter() - begun)
        task = method.memory.tasks - 1
        yield how, score(answer_of(method, task), part, given.samples)
        if how == "encoder":
            yield "encoder_ms", spent
        method.remove_task(task)


def run(given: Any, seed: int) -> None:
    """Print the lines of a seed."""
    settings = BenchmarkSettings(tasks=given.tasks + given.unseen, validation=given.validation)
    everything = make_tasks(given.benchmark, settings, seed)
    seen, unseen = everything[: given.tasks], everything[given.tasks :]
    outputs, shape = seen[0].outputs, BENCHMARKS[given.benchmark].sample_shape()
    values = seen[0].train.y.is_floating_point()
    criterion = F.mse_loss if values else F.cross_entropy
    template = network(shape, given.hidden, outputs, seed)
    adam = OptimizerSettings(lr=given.rate, schedule=_SCHEDULE)
    sections = {
        "hypernet": HypernetSettings(
            tuple(given.features),
            given.entries,
            32,
            "elu",
            "hyperfan",
            "even",
            given.chunk,
            embedding_start=given.start,
        ),
        "regularizer": RegularizerSettings(beta=given.beta),
        "support": SupportSettings(pooling=given.pooling, ridge=given.ridge),
        "optimizer": adam,
        "embedding_optimizer": replace(adam, lr=given.embedding_rate or given.rate),
    }

    def made(name: str) -> Any:
        own: dict[str, Any] = {"generators": Generators(seed), "device": _CPU}
        own |= {"sample_shape": tuple(shape), "criterion": criterion}
        scenario = "domain" if name == "joint" else "task"
        changed = {} if name == given.method else {"optimizer": replace(adam, lr=1e-3)}
        return build_method(name, template, scenario, {**sections, **changed}, **own)  # type: ignore[arg-type]

    def asked(task: Task) -> Part:
        return task.validation if given.validation and task.validation else task.test

    augment = partial(rotate, degrees=given.turn) if given.turn else None
    method = made(given.method)
    during = []
    seconds = 0.0
    for task in seen:
        seconds += taught(method, [task.train], outputs, given, seed, given.iterations, augment)
        during.append(score(answer_of(method, task.index), asked(task), given.samples))
    final = [score(answer_of(method, task.index), asked(task), given.samples) for task in seen]
    common = joint_network(made("joint"), seen, given, seed, augment)
    alone = made("separate")
    full = []
    for place, task in enumerate(unseen):
        taught(alone, [task.train], outputs, given, seed, given.full, augment)
        full.append(score(answer_of(alone, place), asked(task), given.samples))
    about = {"benchmark": given.benchmark, "seed": seed, "tasks": given.tasks}
    about |= {"method": given.method, "kept": method.kept}
    about |= {"measure": "mse" if values else "accuracy", "seconds": round(seconds, 1)}
    for k in given.k:
        found: dict[str, list[float]] = {}
        generator = Generators(seed)[f"few/{k}"]
        for task in unseen:
            rows = drawn(task.train, k, generator, each=given.each)
            batch, part = task.train.batch(rows), asked(task)
            near = int(method.losses_of(batch, range(len(seen))).argmin())
            scores = {"nearest": answer_of(method, near)}
            scores["finetuned"] = fine_tuned(common, batch, criterion, given.tune, given.tune_lr)
            scores["joint"] = common
            row = {name: score(answer, part, given.samples) for name, answer in scores.items()}
            for name, value in {**row, **dict(adapted(method, batch, part, given))}.items():
                found.setdefault(name, []).append(value)
        means = {name: round(statistics.mean(each), 3) for name, each in found.items()}
        learned = {"during": during, "final": final, "full": full}
        means |= {name: round(statistics.mean(each), 3) for name, each in learned.items()}
        print(json.dumps({**about, "k": k, **means}), flush=True)


def numbers(words: str) -> list[int]:
    """Whole numbers, separated by commas."""
    return [int(word) for word in words.split(",") if word]


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--benchmark", default="rotated-digits")
    add("--method", choices=["hnet-data", "hnet"], default="hnet-data")
    add("--seeds", type=numbers, default=[0])
    add("--k", type=numbers, default=[1, 5, 10, 20])
    add("--each", action="store_true", help="k samples of each class")
    add("--tasks", type=int, default=30, help="learned in turn")
    add("--unseen", type=int, default=20)
    add("--iterations", type=int, default=200, help="a task")
    add(
        "--joint",
        type=int,
        default=2000,
        help="iterations of the joint network, four times as wide",
    )
    add("--full", type=int, default=1000, help="iterations of a network for an unseen task alone")
    add("--batch", type=int, default=128)
    add("--validation", type=int, default=0, help="held out of each task, and asked instead")
    add("--turn", type=float, default=0.0, help="degrees that training images turn by at random")
    add("--samples", type=int, default=2000, help="most that are asked of a task")
    add("--hidden", type=numbers, default=[100])
    add("--features", type=numbers, default=[64, 64], help="of the hypernetwork")
    add("--entries", type=int, default=128, help="of an embedding")
    add("--chunk", type=int, default=2000)
    add("--beta", type=float, default=0.05)
    add("--rate", type=float, default=1e-3, help="step size of θ")
    add("--embedding-rate", type=float, help="of embeddings that hnet learns; that of θ")
    add("--start", default="normal", help="of these, like hypernet.embedding_start")
    add("--pooling", default="ridge")
    add("--ridge", type=float, default=0.05)
    add("--steps", type=int, default=60, help="of a search by gradient")
    add("--lr", type=float, default=0.15, help="its step size")
    add("--prior", type=float, default=0.1)
    add("--tune", type=int, default=20, help="steps of fine-tuning the joint network")
    add("--tune-lr", type=float, default=1e-3)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for seed in given.seeds:
        run(given, seed)


if __name__ == "__main__":
    main()
