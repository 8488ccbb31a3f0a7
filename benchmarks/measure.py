"""One measurement, here or in a fresh process: time, processor time and peak memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import torch

from benchmarks.ours import our_iteration
from benchmarks.peer import peer_iteration
from benchmarks.spec import CannotMeasure, Iteration, Spec
from hypermnesia.compute import (
    keep_freed_memory,
    peak_memory_mb,
    reset_peak_memory,
)

VARIANTS: dict[str, Callable[[Spec], Iteration]] = {
    "direct": partial(our_iteration, kind="direct"),
    "closed": partial(our_iteration, kind="closed"),
    "rows": partial(our_iteration, kind="rows"),
    "sampled": partial(our_iteration, kind="sampled"),
    "closed-bf16": partial(our_iteration, kind="closed", precision="bf16"),
    "closed-compiled": partial(our_iteration, kind="closed", compile=True),
    "rows-compiled": partial(our_iteration, kind="rows", compile=True),
    "peer": peer_iteration,
}
"""Each sets up its old tasks and begins the newest one; the iterations are what is timed."""

ROOT = Path(__file__).resolve().parents[1]
_AT_LEAST = 3


@dataclass(frozen=True)
class Measurement:
    """What was seen of one variant at one number of old tasks.

    Attributes:
        times_ms: wall milliseconds of each iteration.
        user_ms: mean processor milliseconds of an iteration in the program itself.
        system_ms: the same in the kernel (page faults, above all).
        peak_mb: largest resident memory while iterating, in MB of 10^6 bytes.
    """

    times_ms: tuple[float, ...]
    user_ms: float
    system_ms: float
    peak_mb: float


def measure(spec: Spec) -> Measurement:
    """Measure in this process, whose memory counts in full.

    Raises:
        CannotMeasure: the variant cannot run here.
    """
    iteration, batches = VARIANTS[spec.variant](spec), cycle(spec.batches())
    device = torch.device(spec.device)
    for _ in range(spec.warmup):
        iteration(next(batches))
    reset_peak_memory(device)
    times: list[float] = []
    end = time.perf_counter() + spec.seconds
    before = resource.getrusage(resource.RUSAGE_SELF)
    while len(times) < spec.iterations and (len(times) < _AT_LEAST or time.perf_counter() < end):
        start = time.perf_counter()
        iteration(next(batches))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1e3 * (time.perf_counter() - start))
    after = resource.getrusage(resource.RUSAGE_SELF)
    return Measurement(
        tuple(times),
        1e3 * (after.ru_utime - before.ru_utime) / len(times),
        1e3 * (after.ru_stime - before.ru_stime) / len(times),
        peak_memory_mb(device),
    )


def measure_apart(spec: Spec) -> Measurement:
    """Measure in a fresh process, so that no other measurement's memory is seen.

    Raises:
        CannotMeasure: the variant cannot run here, or its process died.
    """
    command = [sys.executable, "-m", "benchmarks.measure", json.dumps(asdict(spec))]
    threads = {"OMP_NUM_THREADS": str(spec.threads), "MKL_NUM_THREADS": str(spec.threads)}
    done = subprocess.run(  # noqa: S603
        command, capture_output=True, text=True, cwd=ROOT, env=os.environ | threads, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise CannotMeasure(f"its process ended with {done.returncode}: {last}")
    answer = json.loads(done.stdout.splitlines()[-1])
    if "cannot" in answer:
        raise CannotMeasure(answer["cannot"])
    return Measurement(**answer | {"times_ms": tuple(answer["times_ms"])})


def main(text: str) -> None:
    """Measure the specification in `text` (JSON) and print the measurement as JSON."""
    fields = json.loads(text)
    spec = Spec(**fields | {"assignments": tuple(fields["assignments"])})
    torch.set_num_threads(spec.threads)
    keep_freed_memory()  # as our commands do; the peer is given it too
    try:
        print(json.dumps(asdict(measure(spec))))
    except CannotMeasure as reason:
        print(json.dumps({"cannot": str(reason)}))


if __name__ == "__main__":
    main(sys.argv[1])
