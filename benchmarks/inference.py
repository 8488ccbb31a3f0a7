"""Task inference by lowest entropy: samples per second, batched and one by one.

The ways are those of `unknown_task`. They are timed in turn, round after round, so that drift of
the machine affects all equally; loops use a few samples per round. All keep freed memory, as our
commands do. Predictions must equal those of the loop and, with a screen, those of float32.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.peer import build_networks
from benchmarks.spec import CannotMeasure, Spec
from benchmarks.unknown_task import (
    Answers,
    images,
    infer_batched,
    infer_one_by_one,
    peer_one_by_one,
    trained_or_not,
)
from hypermnesia.compute import Screen, keep_freed_memory
from hypermnesia.evidence.entropy import in_doubt, probes, rough_error, spread
from hypermnesia.methods.hnet import HypernetMethod

_SCREENS: dict[str, Screen | None] = {"none": None, "bf16": "bf16"}

Way = Callable[[Tensor], object]
"""Predicts tasks and classes of a batch."""


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.inference", description=__doc__)
    add = parser.add_argument
    add("--tasks", type=int, default=10)
    add("--samples", type=int, default=10_000)
    add("--one-by-one", type=int, default=100, help="samples timed one by one, in all rounds")
    add("--rounds", type=int, default=5)
    add("--weights", type=Path, help="weights.safetensors of a run of hnet with the same recipe")
    add("--recipe", default="paper", help="of perm-mnist")
    add("--outputs", type=int, default=10)
    add("--threads", type=int, default=1)
    add("--screen", choices=_SCREENS, default="none", help="first answers, in batched inference")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Time all ways and compare the answers of ours."""
    options = _arguments(arguments)
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    sizes = {"recipe": options.recipe, "outputs": options.outputs}
    spec = Spec("closed", options.tasks - 1, **sizes)
    method = trained_or_not(spec, options.tasks, options.weights, _SCREENS[options.screen])
    x, what = images(spec, options.tasks, options.samples)
    print(
        f"{options.tasks} tasks, {len(x):,} {what}, {options.threads} thread(s), "
        f"{options.rounds} rounds: medians and quartiles"
    )
    ways: dict[str, Way] = {
        f"batched, screen {options.screen}": partial(infer_batched, method),
        "one by one, our networks": partial(infer_one_by_one, method.memory),
        **_peer(spec, options.tasks, x),
    }
    few = x[torch.linspace(0, len(x) - 1, options.one_by_one).long()]
    _print_rates(time_in_turn(ways, x, few, options.rounds))
    same = _same(infer_batched(method, few), infer_one_by_one(method.memory, few))
    print(f"same task and class batched and one by one for {same} of {len(few)}")
    if options.screen != "none":
        _print_screen(method, x)


def _peer(spec: Spec, tasks: int, x: Tensor) -> dict[str, Way]:
    """The authors' loop, where hypnettorch is installed."""
    try:
        networks = build_networks(spec.config(), x[0].numel(), spec.outputs, tasks)
    except CannotMeasure as reason:
        print(f"one by one, hypnettorch: left out, {reason}")
        return {}
    return {"one by one, hypnettorch": lambda few: peer_one_by_one(networks, tasks, few)}


def time_in_turn(
    ways: dict[str, Way], x: Tensor, few: Tensor, rounds: int
) -> dict[str, list[float]]:
    """Samples a second of every way in each round, the first on `x`, others on a part of `few`."""
    first = next(iter(ways))
    for way in ways.values():
        way(few[:2])  # what is done once, such as making weights
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for part in few.tensor_split(rounds):
        for name, way in ways.items():
            samples = x if name == first else part
            start = time.perf_counter()
            way(samples)
            rates[name].append(len(samples) / (time.perf_counter() - start))
    return rates


def _print_rates(rates: dict[str, list[float]]) -> None:
    (name, batched), *loops = rates.items()
    print(f"{name}: {_quartiles(batched, ',.0f')} samples a second")
    for name, rate in loops:
        ratios = [fast / slow for fast, slow in zip(batched, rate, strict=True)]
        print(f"{name}: {_quartiles(rate, '.2f')}; {_quartiles(ratios, '.0f')} times fewer")


def _quartiles(values: list[float], form: str) -> str:
    low, median, high = torch.tensor(values).quantile(torch.tensor([0.25, 0.5, 0.75])).tolist()
    return f"{median:{form}} ({low:{form}} to {high:{form}})"


def _same(found: Answers, wanted: Answers) -> int:
    return int(torch.stack([a == b for a, b in zip(found, wanted, strict=True)]).all(0).sum())


@torch.no_grad()
def _print_screen(method: HypernetMethod, x: Tensor) -> None:
    """What the screen leaves in doubt, how far it is off, and whether that changes an answer."""
    exact, rough = method.all_tasks(x), method.all_tasks.screened(x)
    wanted, unsettled = (_answers(method, x, scores) for scores in (exact, rough))
    some = probes(len(x), x.device)
    seen, error = rough_error(rough[:, some], exact[:, some]), rough_error(rough, exact)
    doubtful = in_doubt(rough, seen, torch.ones(1, 1, 1))
    off = ((rough - exact).abs() / spread(exact).amax(dim=0)[:, None]).flatten()
    most = float(off.kthvalue(round(0.999 * len(off))).values)
    print(
        f"same task and class as float32 for {_same(infer_batched(method, x), wanted):,} of "
        f"{len(x):,}; unsettled, for {_same(unsettled, wanted):,}"
    )
    print(
        f"settled: {100 * float(doubtful.any(dim=0).float().mean()):.1f} % of the samples, "
        f"{int(doubtful.sum()) / len(x):.2f} networks a sample"
    )
    print(
        f"root mean square error of the first scores: {100 * float(error):.2f} % of a sample's "
        f"widest spread ({100 * float(seen):.2f} as measured on {len(some)} samples); "
        f"99.9 % of the scores are less than {100 * most:.2f} % off"
    )


def _answers(method: HypernetMethod, x: Tensor, scores: Tensor) -> Answers:
    tasks = method.evidence.log_evidence(x, scores).argmax(dim=0)
    return tasks, scores[tasks, torch.arange(len(x))].argmax(-1)


if __name__ == "__main__":
    main()
