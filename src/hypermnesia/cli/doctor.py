"""`hypermnesia doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from hypermnesia.cli.options import DataDir

if TYPE_CHECKING:
    from hypermnesia.experiments.doctor import DataFound, Diagnosis, Rate

Rows = Sequence[Sequence[str]]

_FIGURES = ("10⁹ operations/s", "against float32")


def doctor_command(
    data_dir: DataDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Say what this machine offers: versions, devices, rates, data and optional packages.

    For example:

    hypermnesia doctor
    """
    from dataclasses import asdict
    from json import dumps

    from hypermnesia.cli.tables import console
    from hypermnesia.experiments.doctor import examine

    found = examine(data_dir)
    if as_json:
        typer.echo(dumps(asdict(found), indent=2))
        return
    out = console()
    for title, headings, rows in _sections(found):
        out.print(title, style="italic")
        out.print(_table(headings, rows))


def _sections(found: Diagnosis) -> list[tuple[str, Sequence[str], Rows]]:
    return [
        ("Machine", ("", ""), _machine(found)),
        (
            "Products of matrices, on one core of the CPU, beside whatever else runs",
            ("device", "format", *_FIGURES),
            [_rate(rate, found.rates) for rate in found.rates],
        ),
        (
            f"Data: {found.data_folder or 'the cache'}",
            ("data set", "files"),
            [(data.name, _files(data, named=found.data_folder is not None)) for data in found.data],
        ),
        (
            "Benchmarks",
            ("benchmark", ""),
            [
                (each.name, f"needs {', '.join(each.missing)}" if each.missing else "can run")
                for each in found.benchmarks
            ],
        ),
        (
            "Optional packages: pip install 'hypermnesia[NAME]'",
            ("name", "packages"),
            [
                (each.name, f"missing: {', '.join(each.missing)}" if each.missing else "installed")
                for each in found.extras
            ],
        ),
    ]


def _machine(found: Diagnosis) -> Rows:
    names = ("hypermnesia", "commit", "python", "torch", "numpy", "platform", "cpu")
    facts = found.environment
    rows = [(name, str(facts[name])) for name in names if facts[name]]
    free = _gigabytes(found.memory.available)
    return [
        *rows,
        ("cores", f"{facts['cores']}, of which {found.usable_cores} can be used"),
        ("threads", f"{facts['threads']}, unless --threads says otherwise"),
        ("memory", f"{_gigabytes(found.memory.total)}, of which {free} are free"),
        ("gpu", facts["gpu"] or "none that torch can use"),
    ]


def _gigabytes(count: int | None) -> str:
    return "?" if count is None else f"{count / 1e9:.1f} GB"


def _rate(rate: Rate, rates: Sequence[Rate]) -> Sequence[str]:
    if rate.per_second is None:
        return rate.device, rate.format, "-", "-"
    plain = {each.device: each.per_second for each in rates if each.format == "float32"}
    base = plain[rate.device]
    ratio = "-" if base is None else f"{rate.per_second / base:.1f}"
    return rate.device, rate.format, f"{rate.per_second / 1e9:.1f}", ratio


def _files(data: DataFound, *, named: bool) -> str:
    if data.folder is None:
        return "inside a package"
    if not data.missing:
        return f"complete in {data.folder}"
    without = f"missing in {data.folder}: {', '.join(data.missing)}"
    if not named:
        return f"{without}; downloaded when first needed"
    return f"{without}; the cache has them all" if data.cached else without


def _table(headings: Sequence[str], rows: Rows) -> object:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_header=any(headings))
    for position, heading in enumerate(headings):
        right = heading in _FIGURES
        table.add_column(heading, justify="right" if right else "left", no_wrap=not position)
    for row in rows:
        table.add_row(*row)
    return table
