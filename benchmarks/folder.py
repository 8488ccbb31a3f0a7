"""A folder of 200 adapters of PEFT, taken into one hypernetwork: its size against what is lost.

The small transformer of `benchmarks/pretrained.py` knows the digits 0 to 3. Adapters of rank 4 on q
and v, and an output layer each, are trained by PEFT alone on pairs of digits and some of their
images, drawn at random; then a `ContinualLearner` that knows nothing takes them in, without data.

    python -m benchmarks.folder --adapters 200 --compression 5 10 20 40

prints a line of JSON for each size, which is in units of the weights of one adapter: the share of
all adapters' numbers that is kept, the error of their weights, and the accuracy lost, in points.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.pretrained import BATCH, RANK, accuracy, digits, pretrained, with_new_head
from hypermnesia import ContinualLearner, lora

LAYERS = ["q", "v"]


def trained(classes: list[int], share: float, updates: int, seed: int, draws: int) -> nn.Module:
    """An adapter, trained on a share of the images of two digits."""
    model = with_new_head(pretrained(0), draws)
    generator = torch.Generator().manual_seed(seed)
    x, y = digits(classes, test=False)
    rows = torch.randperm(len(x), generator=generator)[: int(share * len(x))]
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 3e-3)
    for _ in range(updates):
        own = rows[torch.randint(len(rows), (BATCH,), generator=generator)]
        optimizer.zero_grad()
        F.cross_entropy(model(x[own]), y[own]).backward()
        optimizer.step()
    return model


def folder_of(given: argparse.Namespace, folder: Path) -> dict[str, list[int]]:
    """Write the adapters; by the path of each, its digits."""
    generator, found = torch.Generator().manual_seed(0), {}
    for number in range(given.adapters):
        classes = sorted(torch.randperm(10, generator=generator)[:2].tolist())
        share = 0.5 + 0.5 * float(torch.rand((), generator=generator))
        draws = number if given.own_heads else 0
        model = trained(classes, share, given.updates, number, draws)
        path = folder / f"{number:03d}"
        model.save_pretrained(path)
        found[str(path)] = classes
        if not number:
            numbers = sum(p.numel() for p in model.parameters() if p.requires_grad)
            print(json.dumps({"numbers of an adapter": numbers}), flush=True)
    return found


def of_peft(path: str) -> nn.Module:
    """The network of an adapter as PEFT loads it."""
    import peft

    model = with_new_head(pretrained(0), 0).unload()
    return peft.PeftModel.from_pretrained(model, path)


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapters", type=int, default=200)
    parser.add_argument("--updates", type=int, default=40, help="of each adapter")
    parser.add_argument("--compression", type=float, nargs="+", default=[5, 10, 20, 40])
    parser.add_argument("--own-heads", action="store_true", help="output layers drawn apart")
    parser.add_argument("--folder", type=Path, help="where adapters are, or are to be kept")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        known = folder / "digits.json"
        if known.exists():
            adapters = json.loads(known.read_text())
        else:
            adapters = folder_of(given, folder)
            known.write_text(json.dumps(adapters))
        before = [accuracy(of_peft(path), classes) for path, classes in adapters.items()]
        for compression in given.compression:
            model = lora(pretrained(0), RANK, LAYERS)
            begun = time.perf_counter()
            learner = ContinualLearner(model, None, compression=compression)
            errors = [*learner.import_adapters({path: path for path in adapters}).values()]
            seconds = time.perf_counter() - begun
            after = [accuracy(learner.export(p), classes) for p, classes in adapters.items()]
            memory = learner._knowledge.method.memory
            share = memory.kept / (len(adapters) * memory.largest)
            lost = [a - b for a, b in zip(before, after, strict=True)]
            line = {"adapters": len(adapters), "compression": compression, "share": share}
            line |= {"before": sum(before) / len(before)}
            line |= {"lost": sum(lost) / len(lost), "most lost": max(lost)}
            line |= {"error": sum(errors) / len(errors), "seconds": seconds}
            print(json.dumps({n: round(v, 4) for n, v in line.items()}), flush=True)


if __name__ == "__main__":
    main()
