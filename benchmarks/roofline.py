"""How near an iteration comes to what this machine can do: operations and bytes over rates.

Floors: operations at the best product rate measured at any size, operations at the best rate
that each part's own sizes reach alone, bytes at the better of copy and triad. An iteration that
overlaps computing with moving nowhere needs, part by part, the larger of the last two.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from benchmarks.counts import Line, Sizes, count
from benchmarks.measure import measure_apart
from benchmarks.ours import add_untrained, build_method
from benchmarks.rates import BEYOND_CACHE, copy_rate, triad_rate
from benchmarks.spec import CannotMeasure, Spec
from hypermnesia.experiments.doctor import product_rate


@dataclass(frozen=True)
class Rates:
    """What the machine reaches, a second.

    Attributes:
        best: operations by kind of line, at the best rate of any size.
        own: operations by kind of line, at the best rate of that kind's own sizes.
        bytes: bytes.
    """

    best: dict[str, float]
    own: dict[str, float]
    bytes: float

    def floors(self, line: Line) -> tuple[float, float, float]:
        """Milliseconds that a line needs by operations (best and own rate) and by bytes."""
        by_operations = (line.operations / rate[line.kind] for rate in (self.best, self.own))
        best, own = (1e3 * seconds for seconds in by_operations)
        return best, own, 1e3 * line.bytes / self.bytes


def shapes_of(sizes: Sizes) -> dict[str, list[tuple[int, int, int]]]:
    """(m, k, n) of the products that matter, by kind of line, and a large square one."""
    x = 2 * sizes.features + 1
    return {
        "target": [(sizes.batch, n, m) for n, m in sizes.layers],
        "chunks": [(sizes.chunks, sizes.features, sizes.width)],
        "head": [(sizes.features + 1, sizes.width, x), (sizes.width, x, sizes.features)],
        "square": [(2048, 2048, 2048)],
    }


def measure_rates(sizes: Sizes, device: torch.device, quick: bool) -> dict[str, Rates]:
    """Rates for float32 and, unless `quick`, for bf16, printed as they are found."""
    kinds = {}
    formats = {"float32": torch.float32, "bf16": torch.bfloat16}
    for name, dtype in list(formats.items())[: 1 if quick else None]:
        kinds[name] = {
            kind: max(_printed_rate(name, kind, *mkn, dtype, device) for mkn in shapes)
            for kind, shapes in shapes_of(sizes).items()
        }
    entries = BEYOND_CACHE // (64 if quick else 1)
    copy, triad = copy_rate(entries, device=device), triad_rate(entries, device=device)
    print(f"memory: copy {copy / 1e9:.1f} GB/s, triad {triad / 1e9:.1f} GB/s\n")
    return {name: _rates(kinds["float32"], kinds[name], max(copy, triad)) for name in kinds}


def _printed_rate(
    name: str, kind: str, m: int, k: int, n: int, dtype: torch.dtype, device: torch.device
) -> float:
    rate = product_rate(m, k, n, dtype, device)
    print(f"{name}, {kind}: ({m}, {k}) x ({k}, {n}) at {rate / 1e9:.0f} GFLOP/s")
    return rate


def _rates(float32: dict[str, float], low: dict[str, float], memory: float) -> Rates:
    # Autocast covers the target network and the chunks; the regulariser stays in float32. Features
    # are made in float64, at half of float32's rate. Elementwise work counts as bytes alone.
    top, low_top = max(float32.values()), max(low.values())
    others = {"features": top / 2, "elementwise": float("inf")}
    best = {"target": low_top, "chunks": low_top, "head": top} | others
    own = {"target": low["target"], "chunks": low["chunks"], "head": float32["head"]} | others
    return Rates(best, own, memory)


def print_floors(lines: Sequence[Line], rates: Rates, measured: float | None) -> None:
    """A table of the lines, and the floors beside what was measured."""
    print("| part | MFLOP | MB | ms, best rate | ms, own rate | ms, bytes |")
    print("|---|--:|--:|--:|--:|--:|")
    parts = [rates.floors(line) for line in lines]
    for line, (best, own, moved) in zip(lines, parts, strict=True):
        work = f"{line.operations / 1e6:.0f} | {line.bytes / 1e6:.1f}"
        print(f"| {line.name} | {work} | {best:.2f} | {own:.2f} | {moved:.2f} |")
    best, own, moved = (sum(column) for column in zip(*parts, strict=True))
    totals = {
        "operations at the best rate": best,
        "operations at each part's own rate": own,
        "bytes": moved,
        "the larger of own rate and bytes, part by part": sum(max(p[1:]) for p in parts),
    }
    for name, floor in totals.items():
        share = "" if measured is None else f", {100 * floor / measured:.0f} % of what was measured"
        print(f"floor by {name}: {floor:.1f} ms{share}")


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.roofline", description=__doc__)
    parser.add_argument("--old-tasks", default="0,9,99", metavar="N,N,...")
    parser.add_argument("--recipe", default="paper", help="of perm-mnist")
    parser.add_argument("--outputs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="rough rates, float32 alone")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure rates and iterations, count, and print floors with the share reached."""
    options = _arguments(arguments)
    torch.set_num_threads(options.threads)
    taken = ("recipe", "outputs", "threads", "device", "iterations")
    common = {name: getattr(options, name) for name in taken}
    rates: dict[str, Rates] = {}
    for old_tasks in (int(part) for part in options.old_tasks.split(",")):
        spec = Spec("closed", old_tasks, **common)
        method = build_method(spec, "closed")
        add_untrained(method, old_tasks + 1, spec.outputs)
        sizes = Sizes.of(method.memory, spec.config().train.batch_size)
        rates = rates or measure_rates(sizes, torch.device(spec.device), options.quick)
        variants = {"float32": "closed", "bf16": "closed-bf16"}
        for precision, rate in rates.items():
            variant = variants[precision]
            print(f"{variant}, {old_tasks} old tasks")
            print_floors(count(sizes), rate, _measured(Spec(variant, old_tasks, **common)))
            print()


def _measured(spec: Spec) -> float | None:
    try:
        found = statistics.median(measure_apart(spec).times_ms)
    except CannotMeasure as reason:
        print(f"not measured: {reason}")
        return None
    print(f"measured: {found:.1f} ms (median)")
    return found


if __name__ == "__main__":
    main()
