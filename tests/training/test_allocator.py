from __future__ import annotations

import os
import subprocess
import sys

SCRIPT = """
import resource, sys, torch
from hypermnesia.compute import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def churn():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        parts = [torch.ones(3_000_000) for _ in range(4)]
        del parts
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
churn()
print(churn())
"""


# Set from outside, the threshold does not adapt: every large block comes fresh from the system.
FRESH = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}


def faults(choice: str) -> int:
    command = [sys.executable, "-c", SCRIPT, choice]
    return int(subprocess.check_output(command, env=FRESH))


def test_freed_memory_is_kept_for_the_next_tensors() -> None:
    """80 blocks of 12 MB: a fault for each, at least, where they are fresh; few where not."""
    assert faults("leave") >= 80
    assert faults("keep") < 40
