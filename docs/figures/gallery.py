"""Run the programs of examples/, and keep what they print and draw for the pages of the gallery.

`python docs/figures/gallery.py` runs all of them, one after another on one thread each, and writes
NAME-light.svg, NAME-dark.svg and runs.json to docs/figures/gallery; with names, these alone. What
an example needs and does not find is said, and what was kept of it stays.
"""

from __future__ import annotations

import io
import json
import os
import runpy
import subprocess
import sys
import time
from argparse import ArgumentParser
from contextlib import redirect_stdout
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "_ext"))

from kept_examples import EXAMPLES, KEPT, Example, gallery, readme, runs  # noqa: E402 - of docs/_ext


def run(example: Example, machine: str) -> None:
    """Run an example in this process; keep what it prints and its picture."""
    import matplotlib as mpl
    import torch
    from draw import INKS, style, svg
    from matplotlib import pyplot as plt

    from hypermnesia.report.canvas import COLOURS

    mpl.use("agg")
    sys.path.insert(0, str(EXAMPLES))
    sizes = {"figure.figsize": (4.6, 3.3), "axes.prop_cycle": mpl.cycler(color=COLOURS)}
    printed, drawn = io.StringIO(), []
    plt.show = lambda: drawn.append(svg(plt.gcf()))
    with mpl.rc_context(style("light") | sizes), redirect_stdout(printed):
        try:
            runpy.run_path(str(example.path), run_name="__main__")
        except SystemExit:
            print(f"{example.name}: {printed.getvalue()}", end="", file=sys.stderr)
            return
    (picture,) = drawn
    for page, ink in INKS.items():
        text = picture.replace(INKS["light"], ink)
        (KEPT / f"{example.name}-{page}.svg").write_text(text, "utf-8")
    kept = runs() if (KEPT / "runs.json").is_file() else {}
    kept["about"] = {"machine": f"{machine}, torch {torch.__version__}"}
    kept[example.name] = {
        "code": example.checksum(),
        "seconds": round(time.process_time()),
        "printed": printed.getvalue(),
    }
    text = json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False)
    (KEPT / "runs.json").write_text(text + "\n", "utf-8")


def main() -> None:
    """Run each in a process of its own, with warnings as errors."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="of examples; all of them by default")
    parser.add_argument("--machine", default="an AMD EPYC", help="what the pages call it")
    parser.add_argument("--here", action="store_true", help="one example, in this process")
    given = parser.parse_args()
    examples = {example.name: example for example in gallery()}
    if unknown := [name for name in given.names if name not in examples]:
        parser.error(f"no example is called {unknown[0]}; there are: {', '.join(examples)}")
    (EXAMPLES / "README.md").write_text(readme(), "utf-8")
    for name in given.names or examples:
        if given.here:
            run(examples[name], given.machine)
            continue
        command = [sys.executable, "-W", "error", __file__, name, "--here"]
        one = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([*command, "--machine", given.machine], check=True, env=one)  # noqa: S603


if __name__ == "__main__":
    main()
