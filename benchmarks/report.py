"""Rows of the iteration benchmark as text: a table, and ratios within the one run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict


class Row(TypedDict):
    """One variant at one number of old tasks; milliseconds are those of an iteration.

    `ms` is the median wall time with its quartiles `ms_q25` and `ms_q75`; `user_ms` and
    `system_ms` are mean processor times, steadier where others use the machine.
    """

    variant: str
    old_tasks: int
    ms: float
    ms_q25: float
    ms_q75: float
    user_ms: float
    system_ms: float
    peak_mb: float
    iterations: int


def table_lines(rows: Sequence[Row]) -> Iterator[str]:
    """A Markdown table."""
    yield "| variant | old tasks | ms | quartiles | user ms | system ms | peak MB | iterations |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for r in rows:
        yield (
            f"| {r['variant']} | {r['old_tasks']} | {r['ms']:.1f} "
            f"| {r['ms_q25']:.1f}-{r['ms_q75']:.1f} | {r['user_ms']:.1f} | {r['system_ms']:.1f} "
            f"| {r['peak_mb']:.0f} | {r['iterations']} |"
        )


def ratio_lines(rows: Sequence[Row]) -> Iterator[str]:
    """How cost grows with old tasks, and the peer over each variant, where both were measured."""
    at = {(r["variant"], r["old_tasks"]): r for r in rows}
    variants = dict.fromkeys(r["variant"] for r in rows)
    for variant in variants:
        for few, many in ((0, 9), (9, 99), (1, 99)):
            if (variant, few) in at and (variant, many) in at:
                yield f"{variant}, {many} over {few} old tasks: " + _ratio(
                    at[variant, many], at[variant, few]
                )
    for old_tasks in dict.fromkeys(r["old_tasks"] for r in rows):
        for variant in variants:
            if variant != "peer" and {("peer", old_tasks), (variant, old_tasks)} <= at.keys():
                yield f"peer over {variant}, {old_tasks} old tasks: " + _ratio(
                    at["peer", old_tasks], at[variant, old_tasks]
                )


def _ratio(above: Row, below: Row) -> str:
    def processor(row: Row) -> float:
        return row["user_ms"] + row["system_ms"]

    return (
        f"time {above['ms'] / below['ms']:.2f}, "
        f"processor time {processor(above) / max(processor(below), 1e-9):.2f}, "
        f"memory {above['peak_mb'] / below['peak_mb']:.2f}"
    )
