"""`hypermnesia check`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from hypermnesia.errors import printable


def check_command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold some.")],
) -> None:
    """Verify run folders against their checksums: what is damaged, and what is still good.

    The exit code is 1 if anything is damaged.

    For example:

    hypermnesia check runs
    """
    from hypermnesia.experiments.integrity import check_run, run_folders  # torch is slow to import

    folders = [folder for path in runs for folder in run_folders(path)]
    damaged = False
    for folder in folders:
        findings = check_run(folder)
        counts = Counter(finding.verdict for finding in findings)
        damaged |= counts["damaged"] > 0
        told = ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
        typer.echo(f"{printable(str(folder))}: {told}")
        for finding in findings:
            remark = f"  ({printable(finding.remark)})" if finding.remark else ""
            typer.echo(f"  {finding.verdict:<10} {printable(str(finding.path))}{remark}")
    if damaged:
        raise typer.Exit(1)
