"""Tasks after a pretrained transformer: adapters that a hypernetwork makes, beside PEFT's own.

A small transformer (rows of scikit-learn's digits as 8 tokens, width 64, three layers) learns the
digits 0 to 3. Then 4/5, 6/7 and 8/9 come in turn, each with LoRA of rank 4 on q and v and a new
head: in one `ContinualLearner`, and by plain training of PEFT's adapters, a model a task.

    python -m benchmarks.pretrained --seeds 3 --updates 10 50 200

prints test accuracy, mean over tasks and seeds, just after a task was learned and at the end.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Sequence
from functools import cache

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from hypermnesia import ContinualLearner, lora

TASKS = ((4, 5), (6, 7), (8, 9))
RANK, BATCH, WIDTH = 4, 32, 64


class Block(nn.Module):
    """Attention and two fully connected layers around shortcuts."""

    def __init__(self, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.q, self.k, self.v, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.wide, self.narrow = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, tokens, width) of as many."""
        normed = self.before(x)
        split = [
            layer(normed).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        ]
        x = x + self.out(F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.between(x))))


class Transformer(nn.Module):
    """Classifies (batch, 8, 8) images, whose rows are tokens."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.embed, self.places = nn.Linear(8, WIDTH), nn.Parameter(0.02 * torch.randn(8, WIDTH))
        self.blocks = nn.Sequential(*(Block() for _ in range(3)))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, outputs) logits."""
        tokens = self.blocks(self.embed(x) + self.places)
        return self.head(self.norm(tokens).mean(dim=1))


def digits(classes: Sequence[int], *, test: bool) -> tuple[Tensor, Tensor]:
    """(n, 8, 8) images in [0, 1] of some digits, and their classes from 0."""
    x, y = (torch.as_tensor(each) for each in load_digits(return_X_y=True))
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    rows = order[1200:] if test else order[:1200]
    rows = rows[torch.isin(y[rows], torch.tensor(classes))]
    labels = torch.searchsorted(torch.tensor(classes), y[rows])
    return (x[rows] / 16).float().view(-1, 8, 8), labels


def train(model: nn.Module, classes: Sequence[int], updates: int, lr: float, seed: int) -> None:
    """Train by Adam what is not frozen."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr)
    generator = torch.Generator().manual_seed(seed)
    x, y = digits(classes, test=False)
    for _ in range(updates):
        rows = torch.randint(len(x), (BATCH,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()


@cache
def pretrained(seed: int) -> Transformer:
    """A network that tells 0, 1, 2 and 3 apart."""
    torch.manual_seed(seed)
    model = Transformer(4)
    train(model, range(4), 400, 1e-3, seed)
    return model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, classes: Sequence[int]) -> float:
    """Percent of a task's test images."""
    x, y = digits(classes, test=True)
    return 100 * float((model(x).argmax(dim=1) == y).float().mean())


def with_new_head(base: Transformer, seed: int) -> nn.Module:
    """A model with adapters, and a head of two outputs as torch draws it."""
    torch.manual_seed(100 + seed)
    base = copy.deepcopy(base)
    base.head = nn.Linear(WIDTH, 2)
    return lora(base, RANK, ["q", "v"])


def plain(seed: int, updates: int, lr: float) -> list[float]:
    """Accuracy of adapters that are trained by themselves."""
    found = []
    for classes in TASKS:
        model = with_new_head(pretrained(seed), seed)
        train(model, classes, updates, lr, seed)
        found.append(accuracy(model, classes))
    return found


def in_turn(seed: int, updates: int, lr: float, drift: float) -> tuple[list[float], list[float]]:
    """Accuracy in one learner, just after each task and at the end."""
    model = lora(pretrained(seed), RANK, ["q", "v"])
    settings = {"iterations": updates, "batch_size": BATCH, "validation": 0, "seed": seed}
    learner = ContinualLearner(model, None, lr=lr, drift=drift, **settings)
    after = []
    for classes in TASKS:
        learner.fit(*digits(classes, test=False), task=str(classes))
        after.append(accuracy(learner.export(str(classes)), classes))
    return after, [accuracy(learner.export(str(classes)), classes) for classes in TASKS]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--updates", type=int, nargs="+", default=[10, 50, 200])
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--drift", type=float, default=1e-3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| updates | PEFT, each alone | in turn, just learned | in turn, at the end | seconds |")
    print("|---|---|---|---|---|")
    for updates in given.updates:
        start = time.perf_counter()
        rows = []
        for seed in range(given.seeds):
            rows.append([plain(seed, updates, given.lr)])
            rows[-1] += in_turn(seed, updates, given.lr, given.drift)
        table = torch.tensor(rows)  # (seeds, kinds, tasks)
        means = " | ".join(f"{value:.1f}" for value in table.mean(dim=(0, 2)).tolist())
        seconds = time.perf_counter() - start
        print(f"| {updates} | {means} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
