"""What a fit costs beside plain training of the same network: `python -m benchmarks.learner.cost`.

Updates of a `ContinualLearner` that knows ten other tasks, and updates of the same network by
torch's own Adam, in blocks that take turns within one fit, on one thread: what else runs on the
machine meets both alike. Time is the processor's, the least mean of a block. Memory is the peak of
a process of its own, over that of one that only imports what both need.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hypermnesia import ContinualLearner
from hypermnesia.compute import peak_memory_mb

OLD, CLASSES, BATCH, SAMPLES = 10, 10, 32, 64
HIDDEN = {0.1: 115, 1: 682, 10: 2797, 25: 4628}
WIDTHS = {0.1: 4, 1: 13, 10: 42, 25: 66}


def perceptron(millions: float) -> nn.Module:
    """Two hidden layers on 784 inputs: every weight is used once a sample."""
    h = HIDDEN[millions]
    return nn.Sequential(
        nn.Linear(784, h), nn.ReLU(), nn.Linear(h, h), nn.ReLU(), nn.Linear(h, CLASSES)
    )


class Bottleneck(nn.Module):
    """The block of ResNet-50 (He et al. 2016, arXiv 1512.03385)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.body = nn.Sequential(
            *(nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            nn.Conv2d(width, width, 3, stride, 1, bias=False),
            *(nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs)),
        )
        same = stride == 1 and inputs == outputs
        way = nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        self.way = nn.Identity() if same else nn.Sequential(*way)

    def forward(self, x: Tensor) -> Tensor:
        """Add the block's own way to the short one."""
        return F.relu(self.body(x) + self.way(x))


def resnet(millions: float) -> nn.Module:
    """ResNet-50, as narrow as the number of weights wants; shown images of 64 x 64."""
    base = WIDTHS[millions]
    layers: list[nn.Module] = [nn.Conv2d(3, base, 7, 2, 3, bias=False), nn.BatchNorm2d(base)]
    layers += [nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = base
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            layers.append(Bottleneck(inputs, base << stage, stride))
            inputs = 4 * (base << stage)
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES)
    return nn.Sequential(*layers, *head)


NETWORKS: dict[str, tuple[Callable[[float], nn.Module], tuple[int, ...]]] = {
    "perceptron": (perceptron, (784,)),
    "resnet": (resnet, (3, 64, 64)),
}


def samples(network: str) -> tuple[Tensor, Tensor]:
    """Random inputs, as what is learned has no part in the cost."""
    x = torch.rand(SAMPLES, *NETWORKS[network][1], generator=torch.Generator().manual_seed(0))
    return x, torch.arange(SAMPLES) % CLASSES


def plain(network: str, millions: float) -> Callable[[], None]:
    """Return an update of the network by Adam, in torch's fused implementation."""
    module, data = NETWORKS[network][0](millions), samples(network)
    optimizer = torch.optim.Adam(module.parameters(), fused=True)
    batches = cycle([*zip(*(torch.split(each, BATCH) for each in data), strict=True)])

    def update() -> None:
        x, y = next(batches)
        optimizer.zero_grad()
        torch.autograd.backward(F.cross_entropy(module(x), y))
        optimizer.step()

    return update


class Turns:
    """Callback of a fit: after each block of its updates, as many plain ones."""

    def __init__(self, update: Callable[[], None], block: int) -> None:
        self.update, self.block = update, block
        self.ours: list[float] = []
        self.plain: list[float] = []
        self.start = 0.0

    def on_update(self, iteration: int, metrics: object) -> None:  # noqa: ARG002
        """Note what a block took, the first aside, as buffers are made in it."""
        if iteration % self.block:
            return
        if self.start:
            self.ours.append((time.process_time() - self.start) / self.block)
        start = time.process_time()
        for _ in range(self.block):
            self.update()
        self.plain.append((time.process_time() - start) / self.block)
        self.start = time.process_time()


def learner(network: str, millions: float, validation: float) -> ContinualLearner:
    """Return one of ten tasks, each learned for an update."""
    made = ContinualLearner(
        NETWORKS[network][0](millions), None, batch_size=BATCH, validation=validation
    )
    for task in range(OLD):
        made.fit(*samples(network), task=f"old {task}", iterations=1)
    return made


def seconds(network: str, millions: float, validation: float, rounds: int) -> dict[str, float]:
    """Least seconds of an update, plain and ours, and of what a fit takes besides."""
    block = 10 if network == "perceptron" and millions <= 1 else 1
    made = learner(network, millions, validation)
    turns = Turns(plain(network, millions), block)
    start = time.process_time()
    made.fit(*samples(network), task="new", iterations=rounds * block, callbacks=turns)
    whole = time.process_time() - start
    ours, theirs = min(turns.ours), min(turns.plain)
    mean = sum(turns.ours) / len(turns.ours)
    around = whole - block * (sum(turns.plain) + mean * rounds)
    return {"plain": theirs, "ours": ours, "around": max(around, 0.0)}


def peak_mb(what: str, network: str, millions: float, validation: float) -> float:
    """Return the peak memory of this process, in MB of 10^6 bytes, after ten updates."""
    if what == "plain":
        update = plain(network, millions)
        for _ in range(10):
            update()
    elif what == "ours":
        made = learner(network, millions, validation)
        made.fit(*samples(network), task="new", iterations=10)
    else:
        samples(network)
    return peak_memory_mb(torch.device("cpu"))


def apart(what: str, *arguments: object) -> float:
    """Return the last line that a process of its own prints, a number."""
    command = [sys.executable, "-m", __spec__.name, "--child", what, *map(str, arguments)]
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=-1, text=True, env=os.environ | threads, check=True)  # noqa: S603
    return float(done.stdout.split()[-1])


def measure(network: str, millions: float, validation: float, rounds: int) -> dict[str, object]:
    """Time and memory of a network, ours over plain."""
    time_of = seconds(network, millions, validation, rounds)
    least = apart("nothing", network, millions, validation)
    memory = {
        what: apart(what, network, millions, validation) - least for what in ("plain", "ours")
    }
    weights = sum(p.numel() for p in NETWORKS[network][0](millions).parameters())
    return {
        "network": network,
        "weights": weights,
        "validation": validation,
        "ms": {name: round(1e3 * value, 2) for name, value in time_of.items()},
        "time": round(time_of["ours"] / time_of["plain"], 2),
        "around": round(time_of["around"] / time_of["plain"], 1),
        "mb": {name: round(value) for name, value in memory.items()},
        "memory": round(memory["ours"] / memory["plain"], 2),
    }


def main() -> None:
    """Print a line of JSON for each network and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=[*NETWORKS])
    parser.add_argument("--millions", default="0.1,1,10,25")
    parser.add_argument("--validation", default="0,0.1")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.child:
        what, network, millions, validation = given.child
        print(peak_mb(what, network, float(millions), float(validation)))
        return
    for network in given.networks:
        for millions in map(float, given.millions.split(",")):
            for validation in map(float, given.validation.split(",")):
                found = measure(network, millions, validation, given.rounds)
                print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
