from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import resource, sys, torch
from hypermnesia.training.resources import keep_freed_memory
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


def faults(choice: str) -> int:
    return int(subprocess.check_output([sys.executable, "-c", SCRIPT, choice]))


def test_freed_memory_is_kept_for_the_next_tensors() -> None:
    """Pages already faulted in are used again: 20 x 48 MB are 234,000 pages of 4 KiB."""
    assert faults("keep") < 2_000
    assert faults("leave") > 5 * faults("keep")
