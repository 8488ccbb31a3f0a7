"""The long campaign: `python tests/faults/campaign.py --tries 20 --kills 100 > table.md`.

Every fault is tried so many times, at random moments and places that `--seed` fixes as far as the
machine's pace lets it. A Markdown table says what became of the runs; the exit code is 1 if
anything was lost.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from lab import Lab, LostError

from faults import FAULTS, MENDED, SAME
from hypermnesia.experiments.doctor import environment


def tried(lab: Lab, name: str, tries: int) -> Counter[str]:
    """Outcomes of a fault, tried `tries` times or a little more often."""
    outcomes: Counter[str] = Counter()
    while outcomes.total() < tries:
        try:
            outcomes.update(FAULTS[name](lab))
        except LostError as error:
            outcomes["lost"] += 1
            print(f"LOST, {name}: {error}", file=sys.stderr)
        lab.clear()
    return outcomes


def table(results: dict[str, Counter[str]]) -> str:
    """The outcomes, a row for each fault."""
    columns = (SAME, MENDED, "lost")
    rows = [("fault", "tries", *columns), ("---", *["---:"] * (len(columns) + 1))]
    for name, outcomes in results.items():
        counts = (str(outcomes[column]) for column in columns)
        rows.append((name, str(outcomes.total()), *counts))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=100, help="of each fault")
    parser.add_argument("--kills", type=int, help="tries of kill -9, if not as many")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--only", default="", help="faults whose name contains this")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    start, results = time.monotonic(), {}
    with tempfile.TemporaryDirectory() as root:
        lab = Lab(Path(root), chosen.seed)
        for name in (name for name in FAULTS if chosen.only in name):
            kills = chosen.kills is not None and "kill -9" in name
            results[name] = tried(lab, name, chosen.kills if kills else chosen.tries)
            print(f"{name}: {dict(results[name])}", file=sys.stderr, flush=True)
    machine = environment()
    print(table(results))
    print(
        f"\n`{Path(sys.argv[0]).as_posix()} {' '.join(sys.argv[1:])}`, commit {machine['commit']}, "
        f"torch {machine['torch']}, {machine['platform']}, {machine['cpu']}, "
        f"{(time.monotonic() - start) / 3600:.1f} hours"
    )
    return 1 if any(outcomes["lost"] for outcomes in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
