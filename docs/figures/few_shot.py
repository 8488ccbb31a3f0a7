"""Draw lines of `benchmarks.few_shot`: `python docs/figures/few_shot.py LINES.jsonl OUT.png`."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from hypermnesia.report.canvas import png, seed_count
from hypermnesia.report.few_shot import curves

WAYS = {
    "encoder": "encoder",
    "gradient": "gradient",
    "both": "both",
    "nearest": "nearest",
    "joint": "joint network",
    "finetuned": "fine-tuned",
}


def main(lines: Path, out: Path) -> None:
    """Write the picture, and print its description."""
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    found: dict[str, dict[int, list[float]]] = {}
    for row in rows:
        for way, name in ((way, name) for way, name in WAYS.items() if way in row):
            found.setdefault(name, {}).setdefault(row["k"], []).append(row[way])
    full = {"all samples": statistics.mean(row["full"] for row in rows)}
    seeds = seed_count(len({row["seed"] for row in rows}))
    drawn = curves(found, rows[0]["measure"], seeds, full)
    out.write_bytes(png(drawn.figure))
    print(drawn.text)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
