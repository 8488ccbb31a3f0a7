"""Write the golden values anew: `PYTHONPATH=tests python -m golden.freeze --overwrite [GROUP ...]`.

Only for a change that is meant to change numbers; its message says which, and why.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from golden.machine import fingerprint
from golden.values import CASES, FOLDER, made, path


def main(arguments: list[str] | None = None) -> int:
    """Make and store the values of some groups, or of all."""
    parser = argparse.ArgumentParser(description="Write the golden values anew.")
    parser.add_argument("groups", nargs="*", help=f"some of: {', '.join(CASES)}; by default all")
    parser.add_argument("--overwrite", action="store_true", help="replace those that are there")
    given = parser.parse_args(arguments)
    groups = given.groups or [*CASES]
    for group in groups:
        if group not in CASES:
            parser.error(f"no group is called {group}")
        if path(group).exists() and not given.overwrite:
            parser.error(f"{path(group)} exists; add --overwrite to replace golden values")
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    for group in groups:
        cases = {name: _fresh(group, name) for name in CASES[group]}
        _write(path(group), {"machine": fingerprint(), "cases": cases})
        print(f"{path(group)}: {len(cases)} cases")
    return 0


def _fresh(group: str, name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return made(group, name, Path(folder))


def _write(file: Path, content: dict[str, Any]) -> None:
    """A line for each case: floats by `repr`, which is exact, and diffs name what changed."""
    lines = [f"  {json.dumps(name)}: {json.dumps(case)}" for name, case in content["cases"].items()]
    head = json.dumps(content["machine"], indent=1)
    file.write_text(f'{{"machine": {head},\n"cases": {{\n' + ",\n".join(lines) + "\n}}\n")


if __name__ == "__main__":
    sys.exit(main())
